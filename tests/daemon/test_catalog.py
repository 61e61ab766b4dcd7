"""Models by the names that other programs give them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from made_up_stores import Stores, put

from erllama_cache.errors import ErllamaError
from erllama_daemon.catalog import gguf_files
from erllama_daemon.catalog.find import find_model
from erllama_daemon.catalog.gguf_files import quantization_of, stem_of
from erllama_daemon.catalog.stores import stored_models
from erllama_daemon.errors import ConfigInvalid, ModelAmbiguous, ModelMissing, ModelUnknown, ModelUnreadable


@pytest.fixture
def stores(user_home: Path) -> Stores:
    return Stores(user_home)


def names() -> list[str]:
    return [model.name for model in stored_models()]


def refused(name: str, kind: type[ErllamaError]) -> ErllamaError:
    with pytest.raises(kind) as caught:
        find_model(name)
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        "qwen/Qwen3-4B-GGUF:Q4_K_M",
        "Qwen/qwen3-4b-gguf:q4_k_m",
        "Qwen3-4B-GGUF:Q4_K_M",
        "qwen3-4b:q4_k_m",
        "Qwen3-4B-q4_k_m",
    ],
)
def test_a_model_of_hugging_face_goes_by_its_repository_and_quantization(stores: Stores, name: str) -> None:
    wanted = stores.hugging_face("qwen/Qwen3-4B-GGUF", "Qwen3-4B-Q4_K_M.gguf", b"4")
    stores.hugging_face("qwen/Qwen3-4B-GGUF", "Qwen3-4B-Q8_0.gguf", b"8")
    assert find_model(name) == wanted


@pytest.mark.parametrize(
    ("files", "meant"),
    [
        (["m-IQ2_XS.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf"], "m-Q4_K_M.gguf"),
        (["m-IQ2_XS.gguf", "m-Q8_0.gguf"], "m-Q8_0.gguf"),
        (["m-IQ2_XS.gguf", "m-Q6_K.gguf"], "m-IQ2_XS.gguf"),
        (["model.gguf"], "model.gguf"),
    ],
)
def test_a_repository_by_itself_means_the_usual_quantization(stores: Stores, files: list[str], meant: str) -> None:
    for file in files:
        stores.hugging_face("org/m", file, file.encode())
    assert find_model("org/m").name == meant
    assert find_model("M").name == meant


def test_a_branch_that_went_on_means_its_newest_commit(stores: Stores) -> None:
    stores.hugging_face("org/m", "m-Q8_0.gguf", b"old", commit="b" * 40)
    new = stores.hugging_face("org/m", "m-Q8_0.gguf", b"new", commit="c" * 40)
    other = stores.hugging_face("org/other", "o-Q8_0.gguf", commit="d" * 40, branch="pr/7".replace("/", "-"))
    unnamed = stores.hugging_face("org/unnamed", "u-Q8_0.gguf", commit="e" * 40, branch=None)
    assert [find_model(f"org/{each}") for each in ("m", "other", "unnamed")] == [new, other, unnamed]


@pytest.mark.parametrize(
    "variable", [("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "/hub")], ids=lambda each: each[0]
)
def test_hugging_faces_cache_is_looked_for_where_it_looks(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, variable: tuple[str, str]
) -> None:
    stores.hugging_face("org/m", "m-Q8_0.gguf")
    name, rest = variable
    moved = stores.home / f"elsewhere{rest}"
    moved.parent.mkdir(parents=True, exist_ok=True)
    (stores.home / "cache/huggingface/hub").rename(moved)
    with pytest.raises(ModelUnknown):
        find_model("org/m")
    monkeypatch.setenv(name, "$HOME/elsewhere")
    assert moved in find_model("org/m").parents


@pytest.mark.parametrize(
    ("place", "shown", "called"),
    [
        ("llama3.2/3b", "llama3.2:3b", ["llama3.2:3b", "LLAMA3.2:3B", "llama3.2"]),
        ("qwen3/latest", "qwen3:latest", ["qwen3", "qwen3:latest"]),
        ("registry.ollama.ai/someone/mario/1", "someone/mario:1", ["someone/mario:1", "mario:1", "mario"]),
        ("hf.co/org/m-GGUF/Q8_0", "hf.co/org/m-GGUF:Q8_0", ["hf.co/org/m-GGUF:Q8_0", "m-GGUF:Q8_0", "m"]),
        ("host:5000/a/b/latest", "host:5000/a/b:latest", ["host:5000/a/b", "b"]),
    ],
)
def test_a_model_of_ollamas_goes_by_what_ollama_calls_it(
    stores: Stores, place: str, shown: str, called: list[str]
) -> None:
    blob = stores.ollama(place)
    assert names() == [shown]
    assert [find_model(name) for name in called] == [blob] * len(called)


def test_ollamas_latest_may_be_left_out_whatever_other_tags_there_are(stores: Stores) -> None:
    latest = stores.ollama("qwen3/latest", b"latest")
    stores.ollama("qwen3/4b", b"4b")
    assert find_model("qwen3") == latest
    stores.ollama("gemma/1b", b"g1")
    stores.ollama("gemma/4b", b"g4")
    assert "gemma:1b, gemma:4b" in str(refused("gemma", ModelAmbiguous))


def test_lm_studios_models_go_by_publisher_and_repository(stores: Stores) -> None:
    new = stores.lm_studio("lmstudio-community/gemma-3-1b-it-GGUF/gemma-3-1b-it-Q4_K_M.gguf")
    old = stores.lm_studio("someone/old/old.Q5_K_S.gguf", folder=".cache/lm-studio/models")
    assert find_model("lmstudio-community/gemma-3-1b-it-GGUF") == new
    assert find_model("gemma-3-1b-it") == new
    assert find_model("someone/old:Q5_K_S") == old


def test_lm_studio_is_looked_for_where_it_says_it_is(stores: Stores) -> None:
    moved = stores.lm_studio("a/b/b-Q8_0.gguf", folder="moved/models")
    put(stores.home / ".lmstudio-home-pointer", f"{stores.home}/moved\n".encode())
    big = stores.lm_studio("c/d/d-Q8_0.gguf", folder="big")
    put(stores.home / "moved/settings.json", f'{{"downloadsFolder": "{stores.home}/big"}}'.encode())
    assert [find_model("a/b"), find_model("c/d")] == [moved, big]


@pytest.mark.parametrize(
    ("file", "manifest", "name"),
    [
        ("ggml-org_gemma-3-1b-it-GGUF_gemma-3-1b-it-Q4_K_M.gguf", None, "ggml-org/gemma-3-1b-it-GGUF:Q4_K_M"),
        ("some_org_a_model_m_q8_0.gguf", "manifest=some_org=a_model=latest.json", "some_org/a_model:Q8_0"),
        ("gemma-3-270m-it-qat-Q4_0.gguf", None, "gemma-3-270m-it-qat-Q4_0"),
    ],
)
def test_llama_cpps_flat_files_go_by_the_repository_they_came_from(
    stores: Stores, file: str, manifest: str | None, name: str
) -> None:
    path = stores.llama_cpp(file)
    if manifest is not None:
        stores.llama_cpp(manifest, b"{}")
    assert names() == [name]
    assert find_model(name) == find_model(name.partition(":")[0]) == path


def test_llama_cpps_newer_layout_is_found_where_its_variable_says(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.hugging_face("org/m", "m-Q8_0.gguf")
    (stores.home / "cache/huggingface/hub").rename(stores.home / "llama")
    monkeypatch.setenv("LLAMA_CACHE", str(stores.home / "llama"))
    assert [(model.store, model.name) for model in stored_models()] == [("llama.cpp", "org/m:Q8_0")]


def test_a_model_of_several_parts_is_one_and_projectors_are_none(stores: Stores) -> None:
    first = stores.hugging_face("org/big", "Q4_K_M/big-Q4_K_M-00001-of-00002.gguf", b"1")
    stores.hugging_face("org/big", "Q4_K_M/big-Q4_K_M-00002-of-00002.gguf", b"2")
    stores.hugging_face("org/big", "mmproj-big-F16.gguf", b"eyes")
    stores.hugging_face("org/big", "README.md", b"text")
    assert names() == ["org/big:Q4_K_M"]
    assert find_model("org/big") == first


def test_files_that_share_a_quantization_go_by_their_names(stores: Stores) -> None:
    stores.lm_studio("p/two/base-Q8_0.gguf", b"base")
    chat = stores.lm_studio("p/two/chat-Q8_0.gguf", b"chat")
    assert names() == ["p/two:base-Q8_0", "p/two:chat-Q8_0"]
    assert find_model("p/two:chat-Q8_0") == find_model("chat-q8_0") == chat


def test_a_name_in_two_stores_is_ambiguous_unless_both_have_the_same(stores: Stores) -> None:
    here = stores.hugging_face("org/m-GGUF", "m-Q8_0.gguf", b"same")
    stores.lm_studio("org/m-GGUF/m-Q8_0.gguf", b"copy")
    assert find_model("org/m-GGUF") == here
    stores.lm_studio("org/m-GGUF/m-Q8_0.gguf", b"another")
    ambiguous = refused("m", ModelAmbiguous)
    assert "snapshots" in str(ambiguous)
    assert ".lmstudio/models/org/m-GGUF" in str(ambiguous)
    assert ambiguous.exit_code == 3


def test_all_of_a_name_comes_before_a_part_of_another(stores: Stores) -> None:
    stores.hugging_face("org/qwen3", "qwen3-Q8_0.gguf", b"hf")
    ollama = stores.ollama("qwen3/latest", b"ollama")
    assert find_model("qwen3") == ollama
    assert "org/qwen3:Q8_0" in names()


def test_what_is_unknown_says_what_is_near(stores: Stores) -> None:
    stores.ollama("llama3.2/3b")
    stores.hugging_face("org/gemma-3-1b-it-GGUF", "gemma-3-1b-it-Q4_K_M.gguf")
    assert "llama3.2:3b" in (refused("llama3.2:1b", ModelUnknown).hint or "")
    assert "org/gemma-3-1b-it-GGUF:Q4_K_M" in (refused("gemma-3-1b", ModelUnknown).hint or "")
    assert "demo" in (refused("dmeo", ModelUnknown).hint or "")
    assert "Ollama, LM Studio, llama.cpp" in (refused("zzz", ModelUnknown).hint or "")


def test_damaged_and_unreadable_stores_are_passed_over(stores: Stores) -> None:
    good = stores.ollama("good/latest", b"good")
    manifests = stores.home / "ollama/manifests/registry.ollama.ai/library"
    for number, content in enumerate(
        (b"", b"{", b"[]", b"null", b'{"layers": 3}', b'{"layers": [7]}', b"\xff", b"[" * 5000)
    ):
        put(manifests / f"bad{number}" / "latest", content)
    stores.ollama("gone/latest", b"gone").unlink()
    (manifests / "escaping").mkdir()
    put(manifests / "escaping/latest", (manifests / "good/latest").read_bytes().replace(b"sha256:", b"sha256:../"))
    hub = stores.home / "cache/huggingface/hub"
    (hub / "models--org--m" / "snapshots" / ("a" * 40)).mkdir(parents=True)
    (hub / "models--org--m" / "snapshots" / ("a" * 40) / "m.gguf").symlink_to("nowhere")
    (hub / "models--loop").symlink_to("models--loop")
    put(hub / "models--org--file", b"")
    put(stores.home / ".lmstudio", b"no folder")
    assert names() == ["good:latest"]
    assert find_model("good") == good


def test_a_link_to_itself_hides_nothing_beside_it(stores: Stores) -> None:
    stores.hugging_face("org/m", "m-Q8_0.gguf")
    stores.ollama("o/latest")
    stores.lm_studio("a/b/b-Q8_0.gguf")
    found = names()
    for folder in ("cache/huggingface/hub", "cache/huggingface/hub/models--org--m/refs", "ollama/manifests"):
        (stores.home / folder / "loop").symlink_to("loop")
    for folder in ("ollama/manifests/registry.ollama.ai/library/o", ".lmstudio/models", ".lmstudio/models/a"):
        (stores.home / folder / "loop").symlink_to("loop")
    assert names() == found == ["org/m:Q8_0", "o:latest", "a/b:Q8_0"]


def test_a_file_whose_name_is_no_text_is_passed_over(stores: Stores) -> None:
    model = stores.lm_studio("a/b/b-Q8_0.gguf")
    model.with_name(os.fsdecode(b"\xff-Q4_0.gguf")).write_bytes(b"GGUF")
    assert names() == ["a/b:Q8_0"]


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME", "OLLAMA_MODELS", "LLAMA_CACHE", "XDG_CACHE_HOME"])
def test_a_home_that_nobody_has_holds_no_models(stores: Stores, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    stores.lm_studio("a/b/b-Q8_0.gguf")
    monkeypatch.setenv(variable, "~nobody-at-all/models")
    assert names() == ["a/b:Q8_0"]


def test_an_unreadable_folder_and_a_loop_of_links_end_no_walk(stores: Stores) -> None:
    model = stores.lm_studio("a/b/b-Q8_0.gguf")
    locked = model.parent / "locked"
    locked.mkdir(mode=0)
    (model.parent / "again").symlink_to(model.parent)
    try:
        assert {found.resolved for found in stored_models()} == {str(model)}
        assert find_model("a/b") == model
    finally:
        locked.chmod(0o700)


def test_a_huge_folder_is_walked_only_so_far(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_files, "ENTRIES_LIMIT", 10)
    for number in range(11):
        stores.lm_studio(f"a/huge/{number:02}.txt")
    stores.lm_studio("a/huge/z-Q8_0.gguf")
    stores.lm_studio("a/small/s-Q8_0.gguf")
    assert names() == ["a/small:Q8_0"]


def test_a_path_means_its_file_and_nothing_else(stores: Stores) -> None:
    path = put(stores.home / "m.gguf", b"GGUF")
    assert find_model(str(path)) == path
    assert str(refused(f"{path}x", ModelMissing)) == f"There is no model {path}x."
    refused(str(stores.home), ModelUnreadable)


def test_a_path_that_cannot_be_looked_at_says_why() -> None:
    assert "file name too long" in str(refused(f"/{'a' * 300}", ModelUnreadable))


def test_an_alias_counts_from_the_moment_it_is_written(stores: Stores) -> None:
    path = put(stores.home / "m.gguf", b"GGUF")
    blob = stores.ollama("llama3.2/3b")
    refused("small", ModelUnknown)
    config = stores.home / "config/erllama/config.toml"
    put(config, f'[aliases]\nsmall = "{path}"\n'.encode())
    assert find_model("small") == path
    put(config, b'[aliases]\nsmall = "llama3.2:3b"\nmine = "demo"\ngone = "/no.gguf"\n')
    assert find_model("small") == blob
    assert find_model("mine") == find_model("demo")
    assert str(refused("gone", ModelMissing)) == "There is no model 'gone, an alias of /no.gguf'."
    config.unlink()
    refused("small", ModelUnknown)


def test_an_alias_comes_before_a_name_in_a_store(stores: Stores) -> None:
    stores.ollama("llama3.2/3b")
    path = put(stores.home / "m.gguf", b"GGUF")
    put(stores.home / "config/erllama/config.toml", f'[aliases]\n"llama3.2:3b" = "{path}"\n'.encode())
    assert find_model("llama3.2:3b") == path


def test_aliases_that_cannot_be_read_are_told_and_demo_is_found_all_the_same(stores: Stores) -> None:
    put(stores.home / "config/erllama/config.toml", b"[aliases\n")
    refused("small", ConfigInvalid)
    assert find_model("demo").is_file()


@pytest.mark.parametrize(
    ("file", "quantization", "stem"),
    [
        ("Qwen3-4B-Q4_K_M.gguf", "Q4_K_M", "Qwen3-4B-Q4_K_M"),
        ("smollm2-135m-instruct.Q4_1.gguf", "Q4_1", "smollm2-135m-instruct.Q4_1"),
        ("model_q5_k_s.gguf", "Q5_K_S", "model_q5_k_s"),
        ("m-UD-IQ2_XXS-00001-of-00003.gguf", "UD-IQ2_XXS", "m-UD-IQ2_XXS"),
        ("gpt-oss-20b-MXFP4.gguf", "MXFP4", "gpt-oss-20b-MXFP4"),
        ("embed-f16.gguf", "F16", "embed-f16"),
        ("embed.BF16.gguf", "BF16", "embed.BF16"),
        ("qwen3-4b-instruct.gguf", None, "qwen3-4b-instruct"),
        ("m.gguf", None, "m"),
    ],
)
def test_a_files_name_says_how_it_is_quantized(file: str, quantization: str | None, stem: str) -> None:
    assert (quantization_of(file), stem_of(file)) == (quantization, stem)


def test_a_folders_name_says_so_too() -> None:
    assert quantization_of("Q8_0/model.gguf") == "Q8_0"


def test_nothing_is_copied_or_written(stores: Stores) -> None:
    stores.hugging_face("org/m", "m-Q8_0.gguf")
    stores.ollama("qwen3/latest")
    before = sorted(map(os.fspath, stores.home.rglob("*")))
    names()
    find_model("qwen3")
    assert sorted(map(os.fspath, stores.home.rglob("*"))) == before
    shutil.rmtree(stores.home / "ollama")
    assert names() == ["org/m:Q8_0"]
