import pytest

from grus.benchmark import GRID, SEVEN, SHAPES, STEPS, Size, parse_size
from grus.errors import UsageError


def test_a_size_as_text():
    assert parse_size("32,100, 64,128") == Size(32, 100, 64, 128)
    assert str(Size(32, 100, 64, 128)) == "B=32 T=100 I=64 H=128"


@pytest.mark.parametrize(
    "text", ["", "32", "1,2,3", "1,2,3,4,5", "1,2,3,0", "1,2,3,-4", "1,2,3,4.0", "1,2,3,x", "1,2,3,²"]
)
def test_what_is_no_size(text):
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert str(caught.value) == (
        f"size must be four whole numbers B,T,I,H of at least 1 such as 32,100,64,128, got {text!r}"
    )


def test_flops_count_the_three_gates_of_both_products():
    assert Size(2, 3, 5, 7).flops == 2 * (2 * 3) * (3 * 7) * (5 + 7)


def test_the_registry_has_what_it_promises():
    every = SHAPES["all"]
    assert every == SEVEN + GRID
    assert len(set(every)) == len(every) == 19
    assert {97, 650} <= {size.H for size in GRID}
    assert {1, 8} <= {size.B for size in GRID}
    assert any(size.T == 1 for size in GRID)
    assert all((size.B, size.T) == (1, 1) for size in STEPS)
