"""Inspection on the host: ids, the Hub (a local stand-in), the cache, errors for people, the table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tao_hf.base.errors import UserError
from tao_hf.inspection import code_digest, inspect
from tao_hf.inspection.findings_table import render
from tao_hf.inspection.inspect import ModelRef, full_report_path, inspect_model, parse_model
from tests.support.findings_sample import SAMPLE
from tests.support.stub_hub import StubHub, StubModel

PROBE = "hooks/tao_hf/in_runtime/probe/run.py"
SECRET = "hf_very_secret"  # noqa: S105 - made up
TINY = """
import sys
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor
config = ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32,
                   patch_size=8, id2label={0: "cat", 1: "dog"}, label2id={"cat": 0, "dog": 1})
ViTForImageClassification(config).save_pretrained(sys.argv[1])
ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(sys.argv[1])
"""


@pytest.fixture(scope="module")
def tiny(runtime_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small ViT classifier."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    subprocess.run([str(runtime_python), "-W", "ignore", "-c", TINY, str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty cache and no token."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("TAO_HF_CACHE", str(cache))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return cache


@pytest.fixture
def use_runtime(runtime_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inspect with the test runtime's interpreter."""
    monkeypatch.setenv("TAO_HF_PYTHON", str(runtime_python))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    """Run a stand-in Hub and point HF_ENDPOINT at it."""
    with StubHub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def fake_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the runtime by this Python and the probe by a script that counts its runs; returns the counter file."""
    script, counter = tmp_path / "template" / PROBE, tmp_path / "runs"
    script.parent.mkdir(parents=True)
    for package in (script.parent, script.parents[1], script.parents[2]):
        (package / "__init__.py").touch()
    script.write_text(
        "import json, os, sys\n"
        f"open({str(counter)!r}, 'a').write(json.dumps([sys.argv, dict(os.environ)]) + '\\n')\n"
        f"if os.path.exists({str(tmp_path / 'offline')!r}):\n"
        "    json.dump({'error': {'kind': 'no_network', 'message': 'no net'}}, open(sys.argv[5], 'w')); sys.exit(3)\n"
        f"if os.path.exists({str(tmp_path / 'crash')!r}):\n"
        "    print('it said \\x1b[31mboom'); sys.exit(1)\n"
        f"found = json.loads({json.dumps(SAMPLE)!r})\n"
        "found['source'] = sys.argv[1]\n"
        "json.dump(found, open(sys.argv[5], 'w')); json.dump({**found, 'tensors': []}, open(sys.argv[6], 'w'))\n"
    )
    counter.touch()
    for module in (inspect, code_digest):
        monkeypatch.setattr(module, "TEMPLATE", tmp_path / "template")
    monkeypatch.setattr(code_digest, "digest", code_digest.digest.__wrapped__)  # another process would not remember it
    monkeypatch.setenv("TAO_HF_PYTHON", sys.executable)
    return counter


def runs(counter: Path) -> int:
    """How often the fake probe ran."""
    return len(counter.read_text().splitlines())


# ---------------------------------------------------------------- ids


@pytest.mark.parametrize(
    ("text", "name", "revision"),
    [
        ("google/vit-base-patch16-224", "google/vit-base-patch16-224", None),
        ("  resnet50 ", "resnet50", None),
        ("https://huggingface.co/google/vit", "google/vit", None),
        ("https://huggingface.co/google/vit/", "google/vit", None),
        ("https://hf.co/google/vit/tree/v1.0", "google/vit", "v1.0"),
        ("https://huggingface.co/google/vit/tree/refs%2Fpr%2F3", "google/vit", "refs/pr/3"),
        ("https://huggingface.co/google/vit/blob/main/config.json", "google/vit", "main"),
        ("https://huggingface.co/resnet50?library=transformers#files", "resnet50", None),
    ],
)
def test_hub_ids_and_urls(text: str, name: str, revision: str | None) -> None:
    """Every way to name a Hub model."""
    assert parse_model(text) == ModelRef("hub", name, revision)


def test_directory_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What exists as a directory is a directory."""
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert parse_model("org/name") == ModelRef("local", str(tmp_path / "org" / "name"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "a b",
        "../up",
        "./none",
        "/none/here",
        "a/b/c",
        "org/../x",
        "org/name; rm -rf /",
        "{{ 1 }}",
        "org\n/name",
        "https://evil.example/org/name",
        "https://huggingface.co/datasets/x/y",
        "https://huggingface.co/spaces/x/y",
        "https://huggingface.co/",
        "file:///etc",
        "https://huggingface.co@evil.example/a/b",
        "-rf",
        "--help",
        "org/-x",
        "a--b",
        "https://huggingface.co/org/name/tree/a;b",
        "naïve/猫",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    """One printable sentence for what is no model."""
    with pytest.raises(UserError) as caught:
        parse_model(text)
    assert str(caught.value).isprintable()


# ---------------------------------------------------------------- cache


def test_probe_runs_once_per_directory(fake_probe: Path, tmp_path: Path) -> None:
    """Asked often, probed once until the model changes."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    first = inspect_model(str(model), "local")
    inspect_model(str(model), "local")
    assert inspect_model(str(model), "local") == first
    assert runs(fake_probe) == 1
    (model / "config.json").write_text('{"a": 1}')
    inspect_model(str(model), "local")
    (model / "preprocessor_config.json").write_text("{}")
    inspect_model(str(model), "local")
    (model / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    inspect_model(str(model), "local")
    assert runs(fake_probe) == 4


def test_probe_runs_again_when_the_probe_changes(fake_probe: Path, tmp_path: Path) -> None:
    """Findings of an older probe are not trusted."""
    model = tmp_path / "model"
    model.mkdir()
    inspect_model(str(model), "local")
    script = inspect.TEMPLATE / PROBE
    script.write_text(script.read_text() + "# changed\n")
    inspect_model(str(model), "local")
    assert runs(fake_probe) == 2


def test_branches_grow_old_and_commits_do_not(fake_probe: Path, fresh: Path) -> None:
    """A branch may move: its findings last an hour; a commit's for good."""
    commit = "https://huggingface.co/org/name/tree/" + "a" * 40
    for text in ("org/name", commit):
        inspect_model(text, "local")
    assert runs(fake_probe) == 2
    for file in (fresh / "findings").glob("*.json"):
        os.utime(file, (1, 1))
    inspect_model(commit, "local")
    assert runs(fake_probe) == 2
    inspect_model("org/name", "local")
    assert runs(fake_probe) == 3


def test_old_findings_serve_without_a_network(fake_probe: Path, fresh: Path, tmp_path: Path) -> None:
    """No network: findings from before are used; without any, the sentence comes through."""
    first = inspect_model("org/name", "local")
    for file in (fresh / "findings").glob("*.json"):
        os.utime(file, (1, 1))
    (tmp_path / "offline").touch()
    assert inspect_model("org/name", "local") == first
    with pytest.raises(UserError, match="no net"):
        inspect_model("org/other", "local")


def test_crash_leaves_a_log_and_no_findings(fake_probe: Path, fresh: Path, tmp_path: Path) -> None:
    """A probe that breaks is said in one printable sentence that names its log; nothing half-written stays."""
    (tmp_path / "crash").touch()
    with pytest.raises(UserError, match=r"broke .*its log is") as caught:
        inspect_model("org/name", "local")
    assert str(caught.value).isprintable()
    left = list((fresh / "findings").iterdir())
    assert [file.suffix for file in left] == [".log"] and "boom" in left[0].read_text()


def test_unwritable_cache_is_said(fake_probe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that cannot be made is one sentence with the way out."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("TAO_HF_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match="TAO_HF_CACHE"):
        inspect_model("org/name", "local")


def test_full_disk_leaves_nothing(fake_probe: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC while writing the findings: a sentence, and no entry that a later run would trust."""

    def full(contents):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tao_hf.base.atomic.write_all", full)
    with pytest.raises(UserError, match="No space left"):
        inspect_model("org/name", "local")
    assert list((fresh / "findings").iterdir()) == []


def test_token_is_in_no_argument_and_no_file(fake_probe: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token travels in the environment alone."""
    monkeypatch.setenv("HF_TOKEN", SECRET)
    inspect_model("org/name", "local")
    argv, env = json.loads(fake_probe.read_text())
    assert env["HF_TOKEN"] == SECRET and SECRET not in json.dumps(argv)
    assert not any(SECRET in file.read_text() for file in fresh.rglob("*") if file.is_file())


def test_bad_labels_stop_unless_accepted(fake_probe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated names are an error with a way out, and none for who brings other classes."""
    script = inspect.TEMPLATE / PROBE
    script.write_text(
        script.read_text().replace("found['source']", "found['label_problem'] = 'twice crane'\nfound['source']")
    )
    with pytest.raises(UserError, match=r"twice crane.*num_labels"):
        inspect_model("org/name", "local")
    assert inspect_model("org/name", "local", accept_labels=True)["label_problem"] == "twice crane"
    assert runs(fake_probe) == 1


# ---------------------------------------------------------------- the Hub


@pytest.mark.runtime
def test_hub_model_without_its_weights(hub: StubHub, tiny: Path, use_runtime: None) -> None:
    """A Hub model gives the same facts as its directory, for kilobytes and one range request of the weights."""
    hub.models["org/tiny"] = StubModel(tiny)
    facts = inspect_model("org/tiny", "local")
    assert facts["source"] == "hub" and facts["revision"] == hub.models["org/tiny"].commit
    assert facts["pipeline_tag"] == "image-classification" and facts["library"] == "transformers"
    assert facts["labels"] == ["cat", "dog"] and facts["checkpoint"]["missing"] == [] and facts["onnx"]["ok"]
    report = json.loads(full_report_path(facts).read_text())
    assert {tensor["name"] for tensor in report["tensors"] if tensor["part"] == "head"} == {
        "classifier.weight",
        "classifier.bias",
    }
    weights = [ranges for method, path, ranges in hub.requests if method == "GET" and path.endswith(".safetensors")]
    assert weights and all(weights)
    assert hub.downloaded() == {"config.json", "preprocessor_config.json", "model.safetensors"}
    before = len(hub.requests)
    inspect_model(f"{hub.url}/org/tiny", "local")
    assert len(hub.requests) == before


@pytest.mark.runtime
def test_tokenizer_comes_along_where_a_model_is_told_its_task(hub: StubHub, use_runtime: None, fresh: Path) -> None:
    """The tokenizer's files, and nothing else; one that cannot be read is said."""
    folder = fresh / "told"
    folder.mkdir(parents=True)
    config = {"model_type": "oneformer", "architectures": ["OneFormerForUniversalSegmentation"]}
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("vocab.json", "merges.txt", "notes.txt"):
        (folder / name).write_text("[")
    hub.models["org/told"] = StubModel(folder, pipeline_tag="image-segmentation")
    with pytest.raises(UserError, match=r"the task is instance.*tokenizer cannot be read"):
        inspect_model("org/told", "local")
    assert hub.downloaded() == {"config.json", "vocab.json", "merges.txt"}


@pytest.mark.runtime
def test_hub_refusals(
    hub: StubHub, tiny: Path, use_runtime: None, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown, gated, wrong revision, other tasks, no config, broken weights, a sick Hub: one sentence each."""
    broken = fresh / "broken"
    shutil.copytree(tiny, broken)
    (broken / "model.safetensors").write_bytes(b"\xff" * 64)
    bare = fresh / "bare"
    bare.mkdir()
    (bare / "README.md").write_text("nothing")
    hub.models.update(
        {
            "org/tiny": StubModel(tiny),
            "org/gated": StubModel(tiny, gated=True, token=SECRET),
            "org/chat": StubModel(tiny, pipeline_tag="text-generation"),
            "org/ears": StubModel(tiny, pipeline_tag="automatic-speech-recognition"),
            "org/bare": StubModel(bare),
            "org/broken": StubModel(broken),
        }
    )

    def said(text: str) -> str:
        with pytest.raises(UserError) as caught:
            inspect_model(text, "local")
        assert str(caught.value).isprintable() and not list((fresh / "findings").glob("*.json"))
        return str(caught.value)

    assert "no model org/none" in said("org/none")
    assert "revision v9" in said(f"{hub.url}/org/tiny/tree/v9")
    gated = said("org/gated")
    assert "HF_TOKEN is not set" in gated and f"{hub.url}/org/gated" in gated
    assert "language model" in said("org/chat")
    assert "audio" in said("org/ears")
    assert "no config.json" in said("org/bare")
    assert "safetensors" in said("org/broken")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    wrong = said("org/gated")
    assert "has no access" in wrong and "hf_wrong" not in wrong
    hub.broken = True
    assert "503" in said("org/tiny")
    assert hub.downloaded() <= {"config.json", "preprocessor_config.json", "model.safetensors"}


@pytest.mark.runtime
def test_gated_model_with_its_token(
    hub: StubHub, tiny: Path, use_runtime: None, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the right token a gated model is read, and the token is stored nowhere."""
    hub.models["org/gated"] = StubModel(tiny, gated=True, token=SECRET)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert inspect_model("org/gated", "local")["model_type"] == "vit"
    assert not any(SECRET in file.read_text() for file in fresh.rglob("*") if file.is_file())


@pytest.mark.runtime
def test_no_network(use_runtime: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens: said at once, with three ways out."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"cannot be reached.*local directory"):
        inspect_model("org/name", "local")


# ---------------------------------------------------------------- the table


def test_table_shows_every_finding_inside_its_frame() -> None:
    """Every line has the asked width, and the facts a person decides on are there."""
    lines = render(SAMPLE, 80).splitlines()
    assert {len(line) for line in lines} == {80}
    text = " ".join(lines)
    for part in (
        "image-classification",
        "ViTForImageClassification",
        "224 x 224",
        "bicubic",
        "0.485",
        "cat",
        "classifier",
        "200 tensors",
        "torchscript",
        "opset 17",
        "assumed",
    ):
        assert part in text, part


def test_table_is_safe_and_aligned_with_hostile_text() -> None:
    """Escape sequences and line breaks do not reach the terminal; wide characters keep the frame closed."""
    hostile = {
        **SAMPLE,
        "labels": ["\x1b[2Jx\ny", "猫" * 60, "\u202eevil"],
        "notes": ["a\x07b"],
        "label_problem": "x\ry",
    }
    text = render(hostile, 70)
    assert all(line.isprintable() for line in text.splitlines())
    assert all(line.endswith(("│", "╮", "┤", "╯")) for line in text.splitlines())
    assert "\x1b" not in text and "\x1b[" in render(hostile, 70, color=True)


def test_table_says_when_the_export_fails() -> None:
    """A failed export names the operator."""
    broken = {
        **SAMPLE,
        "onnx": {
            "ok": False,
            "exporter": "dynamo",
            "opset": 18,
            "failing_op": "aten::col2im",
            "error": "no function",
            "max_abs_diff": None,
        },
    }
    assert "aten::col2im" in render(broken, 100) and "works" not in render(broken, 100)
