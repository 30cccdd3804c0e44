"""Free memory is what could be taken: a container's limit and an allocator's reserve count."""

import psutil
import pytest
import torch

from speculative.protocols.free_memory import container_free_bytes, free_bytes

V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def write_group(folder, names, limit, used, inactive=0):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {inactive}\nactive_file 7\n")


@pytest.fixture
def membership(tmp_path):
    def of(text):
        file = tmp_path / "membership"
        file.write_text(text)
        return file

    return of


@pytest.mark.parametrize(
    ("names", "inner", "said"),
    [(V2, "", "0::/pods/one\n"), (V1, "memory", "9:cpu:/x\n3:memory,hugetlb:/pods/one\nbroken\n")],
)
def test_the_tightest_of_the_groups_around_a_process_counts(tmp_path, membership, names, inner, said):
    root = tmp_path / "cgroup" / inner
    write_group(root / "pods" / "one", names, 1000, 700, inactive=50)
    assert container_free_bytes(tmp_path / "cgroup", membership(said)) == 350
    write_group(root / "pods", names, 2000, 1900)
    assert container_free_bytes(tmp_path / "cgroup", membership(said)) == 100
    write_group(root / "pods", names, 2000, 2500)
    assert container_free_bytes(tmp_path / "cgroup", membership(said)) == 0


def test_inside_a_container_its_own_group_is_the_root(tmp_path, membership):
    write_group(tmp_path, V2, 1000, 400)
    assert container_free_bytes(tmp_path, membership("0::/\n")) == 600
    assert container_free_bytes(tmp_path, membership("0::/docker/not-seen-here\n")) == 600


def test_no_limit_is_none(tmp_path, membership):
    assert container_free_bytes(tmp_path, tmp_path / "missing") is None
    assert container_free_bytes(tmp_path, membership("0::/\n")) is None
    write_group(tmp_path, V2, "max", 400)
    assert container_free_bytes(tmp_path, membership("0::/\n")) is None
    (tmp_path / "memory.max").write_text("1000")
    (tmp_path / "memory.stat").unlink()
    assert container_free_bytes(tmp_path, membership("0::/\n")) == 600


def test_free_memory_of_the_cpu_is_at_most_what_the_machine_has():
    assert 0 < free_bytes(torch.device("cpu")) <= psutil.virtual_memory().total


def test_what_the_allocator_of_a_card_holds_and_does_not_use_is_free(monkeypatch):
    held = {"mem_get_info": (100, 1000), "memory_reserved": 70, "memory_allocated": 30}
    for name, value in held.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert free_bytes(torch.device("cuda")) == 140
