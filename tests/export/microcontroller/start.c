/* From reset to main on a Cortex-M4F, and out again by semihosting. The stack is painted before main, so that what is
   left of the paint says how much of it was used. */
#include <stddef.h>
#include <stdint.h>

extern uint32_t data_begin[], data_end[], data_source[], bss_begin[], bss_end[], stack_top[];
extern int main(void);
void reset(void);

enum { SYS_EXIT_EXTENDED = 0x20, STOPPED = 0x20026 };
#define PAINT 0xc0ffee11u

static void leave(uint32_t status) {
  uint32_t block[2] = {STOPPED, status};
  register uint32_t operation __asm__("r0") = SYS_EXIT_EXTENDED;
  register uint32_t *arguments __asm__("r1") = block;
  __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(arguments) : "memory");
  for (;;) {
  }
}

static void fault(void) { leave(99); }

uint32_t stack_used(void) {
  const uint32_t *p = bss_end;
  while (p < stack_top && *p == PAINT) ++p;
  return (uint32_t)((const char *)stack_top - (const char *)p);
}

__attribute__((noreturn)) void reset(void) {
  volatile uint32_t *const access = (volatile uint32_t *)0xe000ed88u;
  const uint32_t *from = data_source;
  uint32_t *to, *here;
  *access |= 0xfu << 20; /* the floating-point unit is off after reset */
  __asm__ volatile("dsb\n isb");
  for (to = data_begin; to < data_end;) *to++ = *from++;
  for (to = bss_begin; to < bss_end;) *to++ = 0;
  __asm__ volatile("mov %0, sp" : "=r"(here));
  for (to = bss_end; to < here - 16;) *to++ = PAINT;
  leave((uint32_t)main());
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    stack_top, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
    NULL,      NULL,          NULL,          NULL,          (void *)fault, (void *)fault, NULL,
    (void *)fault, (void *)fault};
