from erllama_cache.errors import BlockCorrupt, CacheUnwritable, ErllamaError


def test_an_errors_docstring_is_its_message() -> None:
    error = CacheUnwritable(path="/nowhere", reason="read-only file system")
    assert str(error) == "The cache directory /nowhere cannot be written: read-only file system."
    assert error.hint is not None
    assert "/nowhere" in error.hint


def test_an_error_is_found_by_the_code_that_travels() -> None:
    assert ErllamaError.registry["block_corrupt"] is BlockCorrupt


def test_braces_in_a_detail_are_left_alone() -> None:
    assert "{x}" in str(BlockCorrupt(path="{x}", reason="{0}"))
