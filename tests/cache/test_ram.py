from cache.samples import make_block, make_chain

from erllama_cache.ram import RamTier


def test_the_least_recently_used_goes_first() -> None:
    ram = RamTier(3500)
    one, two, three, four = (make_block([number]) for number in range(4))
    for block in (one, two, three):
        ram.put(block)
    ram.get(one.key)
    ram.get(two.key, touch=False)
    ram.put(four)
    assert [block.key in ram for block in (one, two, three, four)] == [True, False, True, True]


def test_a_smaller_budget_takes_effect_at_once() -> None:
    ram = RamTier(1 << 20)
    for block in make_chain([1], [2], [3]):
        ram.put(block)
    ram.quota_bytes = 1500
    assert (ram.rows, ram.used_bytes) == (1, make_block([1]).size)
    ram.quota_bytes = 0
    assert (ram.rows, ram.used_bytes) == (0, 0)


def test_a_discarded_block_is_gone() -> None:
    ram = RamTier(1 << 20)
    block = make_block([1])
    ram.put(block)
    assert ram.discard(block.key)
    assert not ram.discard(block.key)
    assert (ram.rows, ram.used_bytes, ram.shapes(block.root)) == (0, 0, set())
