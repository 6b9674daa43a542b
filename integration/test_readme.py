"""README.md's examples: whatever is a configuration there is one that `config check` takes."""

import re
import shutil
import subprocess

import pytest
import yaml

from peers.ca import Leaf
from peers.daemon import REPOSITORY, binary

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
TASKS = {"A smarthost in ten lines", "Mail through a provider", "A relay for staging",
         "In Kubernetes", "From Postfix's relayhost"}
FOLDER = "/etc/stsrelay"


def paragraphs() -> list[tuple[str, str]]:
    """Headings, each with a paragraph of an indented block below it."""
    found, heading = [], ""
    for part in re.split(r"\n(?=## )", README):
        heading = part.partition("\n")[0].removeprefix("## ")
        blocks = re.findall(r"(?:^ {4}.*\n)+", part, re.M)
        found += [(heading, re.sub(r"^ {4}", "", block, flags=re.M)) for block in blocks]
    return found


def configurations() -> list[tuple[str, str]]:
    """What begins with a key, and what manifests carry."""
    found = []
    for heading, text in paragraphs():
        if text.startswith("apiVersion:"):
            found += [(heading, content) for document in yaml.safe_load_all(text)
                      for content in document.get("data", {}).values()]
        elif re.match(r"[a-z_]+:( |\n)", text):
            found.append((heading, text))
    return found


def supply(text: str, folder, authority) -> str:
    """The same, with the files that it names in a folder where they are."""
    pem = authority.pem_file(Leaf.good("relay.example.org"))
    users = subprocess.run([binary(), "hash-password", "--user", "alice", "--method", "sha512-crypt"],
                           input="secret\nsecret\n", capture_output=True, text=True, check=True)
    for name in re.findall(rf"{FOLDER}/([\w.-]+)", text):
        if f"key_file: {FOLDER}/{name}" in text:  # of DKIM
            subprocess.run(["openssl", "genrsa", "-out", folder / name, "2048"], check=True,
                           capture_output=True)
        elif name.endswith((".pem", ".key")):
            shutil.copy(pem, folder / name)
        else:
            (folder / name).write_text(users.stdout if name == "users" else "secret\n")
        (folder / name).chmod(0o600)
    return text.replace(FOLDER, str(folder))


def test_each_task_has_its_section():
    assert TASKS <= set(re.findall(r"^## (.*)$", README, re.M))
    assert TASKS <= {heading for heading, _ in configurations()}


@pytest.mark.parametrize("number", range(len(configurations())),
                         ids=[heading.replace(" ", "-") for heading, _ in configurations()])
def test_every_example_of_the_readme_is_a_good_configuration(number, tmp_path, authority):
    _, text = configurations()[number]
    file = tmp_path / "relay.yaml"
    text = supply(text, tmp_path, authority)
    if "hostname:" not in text:
        text = f"hostname: relay.example.org\n{text}"
    file.write_text(text)
    result = subprocess.run([binary(), "config", "check", "--config", file], capture_output=True,
                            text=True, timeout=60, check=False)
    assert result.returncode == 0, f"{text}\n{result.stdout}{result.stderr}"
