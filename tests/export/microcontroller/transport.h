/* Calls from the file "calls", outputs to "answers", both on the host by semihosting; the ticks between any two of these
   go to "ticks", the first of them for 2,000,000 instructions, and the stack that was used comes last. */
#include <stddef.h>

extern uint32_t stack_used(void);
enum { SYS_OPEN = 1, SYS_WRITE = 5, SYS_READ = 6, READ_BINARY = 1, WRITE_BINARY = 5, FILES = 3 };
#define TIMER ((volatile uint32_t *)0x40000000u) /* counts down; control, value, reload */

static uint32_t file[FILES], since;

static uint32_t semihost(uint32_t operation, void *block) {
  register uint32_t r0 __asm__("r0") = operation;
  register void *r1 __asm__("r1") = block;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}
static uint32_t transfer(uint32_t operation, uint32_t handle, const void *data, size_t size) {
  uint32_t block[3];
  block[0] = handle;
  block[1] = (uint32_t)(uintptr_t)data;
  block[2] = (uint32_t)size;
  return semihost(operation, block); /* how many bytes were not moved */
}
static void lap(void) {
  const uint32_t ticks = since - TIMER[1];
  transfer(SYS_WRITE, file[2], &ticks, sizeof ticks);
}
static void begin(void) {
  static const char *const names[FILES] = {"calls", "answers", "ticks"};
  int i;
  for (i = 0; i < FILES; ++i) {
    uint32_t block[3], size = 0;
    while (names[i][size]) ++size;
    block[0] = (uint32_t)(uintptr_t)names[i];
    block[1] = i ? WRITE_BINARY : READ_BINARY;
    block[2] = size;
    file[i] = semihost(SYS_OPEN, block);
  }
  TIMER[2] = 0xffffffffu;
  TIMER[1] = 0xffffffffu;
  TIMER[0] = 1;
  since = TIMER[1];
  __asm__ volatile("ldr r2, =1000000\n1: subs r2, #1\n bne 1b" : : : "r2", "cc");
  lap();
}
static int get(void *data, size_t size) {
  int found;
  if (!file[0]) begin();
  lap();
  found = transfer(SYS_READ, file[0], data, size) == 0;
  if (!found) {
    const uint32_t used = stack_used();
    transfer(SYS_WRITE, file[2], &used, sizeof used);
  }
  since = TIMER[1];
  return found;
}
static void put(const void *data, size_t size) {
  lap();
  transfer(SYS_WRITE, file[1], data, size);
  since = TIMER[1];
}
