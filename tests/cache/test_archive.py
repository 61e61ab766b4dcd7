import tarfile
from pathlib import Path

import msgspec
import pytest
from cache.samples import ROOT, make_block, make_chain
from cache.test_keys import RECORD

from erllama_cache.block import Block
from erllama_cache.disk.origins import Origin, Origins
from erllama_cache.disk.tier import DiskTier
from erllama_cache.errors import ArchiveUnreadable, BlockCorrupt, KeyUnknown, ParentGone
from erllama_cache.tending.archive import export_chains, import_chains, read_manifest
from erllama_cache.tending.survey import survey

QUOTA = 1 << 20
ORIGIN = Origin(model="demo", model_fingerprint="00" * 32, record=RECORD)


@pytest.fixture
def chain(disk: DiskTier) -> list[Block]:
    chain = make_chain([1, 2], [3], [4])
    for block in (*chain, make_block([9], chain[0])):
        disk.publish(block)
    disk.origins.note(ROOT, ORIGIN)
    return chain


def test_a_chain_taken_elsewhere_is_the_same_chain(disk: DiskTier, chain: list[Block], tmp_path: Path) -> None:
    target, told = tmp_path / "chain.tar", list[tuple[int, int]]()
    found = survey(disk.files.directory)
    export_chains(disk.files.directory, found, [chain[2].key], target, chat=msgspec.Raw(b'{"id":"1"}'))
    assert target.stat().st_mode & 0o777 == 0o600
    manifest = read_manifest(target)
    assert (manifest.keys, bytes(manifest.chat)) == ([chain[2].key.hex()], b'{"id":"1"}')

    elsewhere = DiskTier(tmp_path / "elsewhere", QUOTA)
    elsewhere.open()
    assert import_chains(target, elsewhere, lambda done, total: told.append((done, total))) == 3
    assert [elsewhere.load(block.key) for block in chain] == chain
    assert elsewhere.totals().rows == 3
    assert Origins(tmp_path / "elsewhere").all() == {ROOT: ORIGIN}
    assert told[-1] == (3, 3)
    assert import_chains(target, elsewhere) == 0
    elsewhere.close()


def test_a_damaged_block_is_not_exported_and_no_file_is_left(
    disk: DiskTier, chain: list[Block], tmp_path: Path
) -> None:
    path = disk.files.path(chain[1].key)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(BlockCorrupt):
        export_chains(disk.files.directory, survey(disk.files.directory), [chain[2].key], tmp_path / "chain.tar")
    assert not list(tmp_path.glob("*chain.tar*"))


def test_a_chain_without_its_beginning_is_not_exported(disk: DiskTier, chain: list[Block], tmp_path: Path) -> None:
    disk.index.delete([chain[0].key])
    for key, error in ((chain[2].key, ParentGone), (chain[0].key, KeyUnknown)):
        with pytest.raises(error):
            export_chains(disk.files.directory, survey(disk.files.directory), [key], tmp_path / "chain.tar")
    assert not list(tmp_path.glob("*chain.tar*"))


def test_garbage_is_no_archive(disk: DiskTier, chain: list[Block], tmp_path: Path) -> None:
    target = tmp_path / "chain.tar"
    export_chains(disk.files.directory, survey(disk.files.directory), [chain[2].key], target)
    whole = target.read_bytes()
    elsewhere = DiskTier(tmp_path / "elsewhere", QUOTA)
    elsewhere.open()
    flipped = bytearray(whole)
    flipped[whole.index(bytes(chain[1].payload)) + 5] ^= 1
    for garbage in (b"", b"noise" * 500, whole[:700], bytes(flipped)):
        target.write_bytes(garbage)
        with pytest.raises(ArchiveUnreadable):
            import_chains(target, elsewhere)
    assert elsewhere.load(chain[1].key) is None
    elsewhere.close()


def test_an_archive_that_was_cut_off_between_two_blocks_is_not_whole(
    disk: DiskTier, chain: list[Block], tmp_path: Path
) -> None:
    target = tmp_path / "chain.tar"
    export_chains(disk.files.directory, survey(disk.files.directory), [chain[2].key], target)
    with tarfile.open(target) as archive:
        end = archive.getmember(f"{chain[2].key.hex()}.kv").offset
    target.write_bytes(target.read_bytes()[:end])
    elsewhere = DiskTier(tmp_path / "elsewhere", QUOTA)
    elsewhere.open()
    with pytest.raises(ArchiveUnreadable, match="2 of 3 blocks"):
        import_chains(target, elsewhere)
    assert elsewhere.load(chain[1].key) == chain[1]
    elsewhere.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"format":7,"keys":[],"blocks":[]}', "7"),
        ('{"format":1,"keys":["../../etc/passwd"],"blocks":[]}', "no key"),
    ],
)
def test_a_newer_format_and_nonsense_are_refused(tmp_path: Path, content: str, said: str) -> None:
    target, manifest = tmp_path / "chain.tar", tmp_path / "chain.json"
    manifest.write_text(content)
    with tarfile.open(target, "w") as archive:
        archive.add(manifest, "chain.json")
    with pytest.raises(ArchiveUnreadable, match=said):
        read_manifest(target)
