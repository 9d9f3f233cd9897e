"""MinHash against the definition of Jaccard similarity, and groups of duplicates against brute force."""

from __future__ import annotations

import itertools
import random
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from benchmarks.corpus import deduplication
from mobilebert.corpus.cleaning import CleaningContext
from mobilebert.corpus.dedup import block_store, minhash, near_duplicates, verdicts
from mobilebert.settings import Corpus

CHARACTERS = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]


def text(random_: random.Random, length: int) -> str:
    return "".join(random_.choices(CHARACTERS, k=length))


def changed(random_: random.Random, source: str, share: float) -> str:
    return "".join(
        random_.choice(CHARACTERS) if random_.random() < share else character for character in source
    )


def plain_jaccard(one: str, other: str) -> float:
    """By the definition, in sets of strings."""
    first, second = ({t[i : i + 5] for i in range(len(t) - 4)} for t in (one, other))
    return len(first & second) / len(first | second)


def test_jaccard_is_that_of_the_sets_of_5_grams():
    random_ = random.Random(1)
    for share in (0.0, 0.01, 0.1, 1.0):
        one = text(random_, 400)
        other = changed(random_, one, share)
        assert minhash.jaccard(*minhash.shingle_sets([one, other])) == pytest.approx(
            plain_jaccard(one, other), abs=1e-12
        )


@pytest.mark.parametrize("length", [60, 200, 3000])
def test_equal_columns_of_signatures_estimate_jaccard(length):
    random_ = random.Random(2)
    errors = []
    for _ in range(60):
        one = text(random_, length)
        other = changed(random_, one, random_.choice([0.01, 0.03, 0.06]))
        first, second = minhash.signatures([one, other])
        errors.append((first == second).mean() - plain_jaccard(one, other))
    # The estimate of 112 independent columns has a standard deviation of at most 0.047; it is not biased.
    assert abs(np.mean(errors)) < 0.03
    assert np.sqrt(np.mean(np.square(errors))) < (0.09 if length == 60 else 0.06)


def test_a_signature_does_not_depend_on_its_neighbours():
    random_ = random.Random(3)
    texts = [text(random_, random_.randint(5, 300)) for _ in range(30)] + ["", "短", "。。。。。。"]
    together = minhash.signatures(texts)
    for number, each in enumerate(texts):
        assert (minhash.signatures([each])[0] == together[number]).all()


def test_punctuation_spaces_and_case_do_not_count():
    one, other = "Hello世界，你好吗？我很好。", "hello 世界你好吗 我很好！"
    assert minhash.jaccard(*minhash.shingle_sets([one, other])) == 1.0


def test_texts_without_shingles_have_no_keys():
    owners, keys = minhash.band_keys(["", "短", "足够长的一段文字在这里"])
    assert set(owners.tolist()) == {2}
    assert len(keys) == minhash.BANDS


def dropped(tmp_path, blocks: list[list[str]], **changes) -> dict[tuple[int, int], bool]:
    """(element, place) -> exact, of what goes."""
    folder = tempfile.mkdtemp(dir=tmp_path)
    fates = deduplication.find(blocks, CleaningContext(Corpus.model_validate(changes), folder, 1 << 20))
    return {
        (element, place): fate == verdicts.EXACT
        for element, each in enumerate(fates)
        for place, fate in enumerate(each.tolist())
        if fate != verdicts.STAYS
    }


def test_the_longest_stays_and_the_others_go_for_their_reason(tmp_path):
    random_ = random.Random(4)
    one = text(random_, 300)
    longer = one + text(random_, 20)
    other = text(random_, 300)
    assert dropped(tmp_path, [[one, other, one], [longer, one, other]]) == {
        (0, 0): False,
        (0, 2): True,
        (1, 1): True,
        (1, 2): True,
    }


def test_only_equal_texts_go_when_near_duplicates_may_stay(tmp_path):
    random_ = random.Random(5)
    one = text(random_, 300)
    assert dropped(tmp_path, [[one, one + "尾巴"], [one]], near_duplicates=False) == {(1, 0): True}


def test_a_pair_under_the_similarity_stays_though_its_keys_meet(tmp_path):
    random_ = random.Random(6)
    one = text(random_, 600)
    near = changed(random_, one, 0.01)
    assert plain_jaccard(one, near) > 0.8
    assert dropped(tmp_path, [[one, near]], near_duplicate_similarity=0.7)
    assert not dropped(tmp_path, [[one, near]], near_duplicate_similarity=0.999)


def test_groups_are_those_of_brute_force(tmp_path):
    """Every pair of similarity 0.85 and more is found (the chance to miss one is under 1 in 10,000), none
    under the setting is.
    """
    random_ = random.Random(7)
    bases = [text(random_, random_.randint(100, 400)) for _ in range(40)]
    texts = bases + [changed(random_, base, 0.01) for base in bases[:25] for _ in range(2)] + bases[:5]
    random_.shuffle(texts)
    blocks = [texts[start : start + 20] for start in range(0, len(texts), 20)]
    gone = dropped(tmp_path, blocks, near_duplicate_similarity=0.6)
    places = {(n // 20, n % 20): each for n, each in enumerate(texts)}
    kept = [place for place in places if place not in gone]
    for one, other in itertools.combinations(kept, 2):
        assert plain_jaccard(places[one], places[other]) < 0.85
    for place in gone:
        stays = [places[other] for other in kept if len(places[other]) >= len(places[place])]
        assert max(plain_jaccard(places[place], other) for other in stays) >= 0.6
    assert len(kept) >= len(bases)


def test_however_few_documents_are_looked_at_together_the_verdict_is_the_same(tmp_path, monkeypatch):
    random_ = random.Random(13)
    bases = [text(random_, random_.randint(50, 200)) for _ in range(30)]
    texts = bases + [changed(random_, base, 0.01) for base in bases for _ in range(3)] + bases * 3
    random_.shuffle(texts)
    blocks = [texts[start : start + 7] for start in range(0, len(texts), 7)]
    expected = dropped(tmp_path, blocks)
    monkeypatch.setattr(block_store, "TOGETHER", 20)
    monkeypatch.setattr(near_duplicates, "_COMPARED", 500)
    assert dropped(tmp_path, blocks) == expected
    assert len(expected) > 100


def test_copies_of_one_text_do_not_fill_a_partition(tmp_path, monkeypatch):
    monkeypatch.setattr(block_store, "TOGETHER", 100)
    one = text(random.Random(14), 100)
    work = CleaningContext(Corpus(), str(tmp_path), 1 << 20)
    fates = deduplication.find([[one] * 50] * 20, work)
    assert np.concatenate(fates).tolist() == [verdicts.STAYS] + [verdicts.EXACT] * 999
    blocks = block_store.Blocks(work.folder)
    assert blocks.batches == 10
    files = [str(tmp_path / f"keys-{batch:06d}") for batch in range(10)]
    held = [
        len(block_store.read_ranges(files, partition, blocks.partitions, block_store.KEY))
        for partition in range(blocks.partitions)
    ]
    assert sum(held) == 10 * (1 + minhash.BANDS)


def variants(folder: Path, documents: int) -> CleaningContext:
    """Keys of documents without texts: of each three that it shares with none, one with two others, and
    one with all, in partition 0.
    """
    work = CleaningContext(Corpus(), str(folder), 1 << 20)
    block_store.write_blocks(
        work.folder, [(element, [1000]) for element in range(documents // 1000)], work.block_bytes
    )
    blocks = block_store.Blocks(work.folder)
    random_ = np.random.default_rng(15)
    for batch in range(blocks.batches):
        number = np.concatenate(
            [np.arange(1000, dtype=np.uint64) + np.uint64(block) for block in blocks.batch(batch)[0]]
        )
        keys = np.zeros((5, len(number)), block_store.KEY)
        keys["document"] = number
        keys["rank"] = random_.integers(0, 1 << 40, len(number))
        keys["key"] = [
            *random_.integers(0, 1 << 62, (3, len(number))),
            number // np.uint64(3),
            [0] * len(number),
        ]
        keys = keys.T.reshape(-1)
        block_store.write_ranges(
            str(folder / f"keys-{batch:06d}"),
            keys,
            np.where(keys["key"], keys["key"] % np.uint64(blocks.partitions), 0),
            blocks.partitions,
        )
    return work


def pairs_of(work: CleaningContext, partition: int) -> np.ndarray:
    """What `candidates` finds in a partition, each pair once."""
    near_duplicates.candidates(partition, work)
    groups = block_store.Blocks(work.folder).partitions
    found = [
        block_store.read_ranges([f"{work.folder}/pairs-{partition:06d}"], group, groups, near_duplicates.PAIR)
        for group in range(groups)
    ]
    return np.unique(np.concatenate(found))


def test_of_a_key_that_all_share_the_same_pairs_are_found_however_few_are_worked_on(tmp_path, monkeypatch):
    monkeypatch.setattr(block_store, "TOGETHER", 1000)
    found = []
    for at_once, room, sliced in ((100_000, 1000, 0), (500, 1000, 0), (100_000, 6, 1), (500, 1, 10)):
        monkeypatch.setattr(near_duplicates, "_AT_ONCE", at_once)
        monkeypatch.setattr(near_duplicates, "_ROOM", room)
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        found.append([pairs_of(variants(folder, 10_000), partition) for partition in range(10)])
        assert len({path.name[:13] for path in folder.glob("slices-*")}) == sliced
    assert len(found[0][0]) > 15_000
    for others in found[1:]:
        assert all((mine == other).all() for mine, other in zip(found[0], others, strict=True))


def test_a_key_that_all_share_takes_no_more_memory_the_more_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(block_store, "TOGETHER", 1000)
    monkeypatch.setattr(near_duplicates, "_AT_ONCE", 1000)
    peaks = []
    for documents in (20_000, 100_000):
        work = variants(Path(tempfile.mkdtemp(dir=tmp_path)), documents)
        traced = []
        for _ in range(2):  # Python's table of strings may grow by 2 MB in one of them, wherever it stands
            tracemalloc.start()
            near_duplicates.candidates(0, work)
            traced.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            Path(work.folder, "pairs-000000").unlink()
        peaks.append(min(traced))
    assert peaks[1] < 1.5 * peaks[0] < 3e6


def test_copies_of_a_text_do_not_hide_it_from_those_alike(tmp_path, monkeypatch):
    monkeypatch.setattr(block_store, "TOGETHER", 2)
    monkeypatch.setattr(near_duplicates, "_AT_ONCE", 10)
    monkeypatch.setattr(near_duplicates, "_ROOM", 1000)
    random_ = random.Random(17)
    base = text(random_, 300)
    longest = base + text(random_, 20)
    assert len(dropped(tmp_path, [[longest]] * 30 + [[base], [base + "好"]])) == 31


def test_pairs_that_all_bands_find_are_held_once(tmp_path, monkeypatch):
    monkeypatch.setattr(near_duplicates, "_AT_ONCE", 1000)
    pairs = np.zeros(1000, near_duplicates.PAIR)
    pairs["rank"] = np.random.default_rng(16).integers(0, 1 << 40, 1000)
    peaks = []
    for times in (4, 40):
        tracemalloc.start()
        assert (near_duplicates._distinct(pairs[::-1].copy() for _ in range(times)) == np.sort(pairs)).all()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_in_a_chain_nothing_goes_that_is_like_nothing_that_stays(tmp_path):
    random_ = random.Random(8)
    long = text(random_, 1400)
    texts = [long[start : start + 400] for start in range(0, 1000, 40)]
    assert plain_jaccard(texts[0], texts[1]) > 0.8 > 0.7 > plain_jaccard(texts[0], texts[2])
    gone = dropped(tmp_path, [texts])
    kept = [each for place, each in enumerate(texts) if (0, place) not in gone]
    assert 1 < len(kept) < len(texts)
    for _, place in gone:
        assert max(plain_jaccard(texts[place], other) for other in kept) >= 0.7


@pytest.mark.parametrize("copies", [5, 30])
def test_of_many_alike_documents_one_stays(tmp_path, copies):
    random_ = random.Random(9)
    base = text(random_, 300)
    texts = [base + text(random_, random_.randint(1, 30)) for _ in range(copies)] + [base] * copies
    random_.shuffle(texts)
    assert len(dropped(tmp_path, [texts])) == len(texts) - 1


def test_pairs_fall_into_all_groups_though_each_block_has_one_document(tmp_path):
    random_ = random.Random(12)
    bases = [text(random_, 100) for _ in range(40)]
    blocks = [[base + tail] for base in bases for tail in ("", "好")]
    work = CleaningContext(Corpus(), str(tmp_path), 1 << 20)
    deduplication.find(blocks, work)
    groups = block_store.Blocks(work.folder).partitions
    assert groups > 4
    assert all(sum(1 for _ in verdicts.alike(group, groups, work)) in range(1, 20) for group in range(groups))


def test_copies_of_a_text_that_goes_go_too(tmp_path):
    random_ = random.Random(10)
    base = text(random_, 300)
    longest = base + text(random_, 30)
    copies = [base] * 12  # more than are paired each with each
    gone = dropped(tmp_path, [copies[:6], [longest], copies[6:]])
    assert gone == {(0, 0): False} | {(0, place): True for place in range(1, 6)} | {
        (2, place): True for place in range(6)
    }


def test_the_verdict_holds_a_byte_a_document_however_many_pairs_there_are(tmp_path, monkeypatch):
    """Against the definition: by rank, each document that stays sends off those that it is alike to."""
    monkeypatch.setattr(verdicts, "_READ_AHEAD", 5_000)
    monkeypatch.setattr(verdicts, "_DROPS", 1_000)
    random_ = np.random.default_rng(11)
    documents, most = 20_000, 1 << 40
    peaks = []
    for count in (20_000, 200_000):
        folder = tempfile.mkdtemp(dir=tmp_path)
        work = CleaningContext(Corpus(), folder, 1 << 20)
        block_store.write_blocks(
            folder, [(element, [documents // 10]) for element in range(10)], work.block_bytes
        )
        groups = block_store.Blocks(folder).partitions
        rank = random_.integers(0, most, documents)
        ends = random_.integers(0, documents, (count, 2))
        ends = ends[rank[ends[:, 0]] < rank[ends[:, 1]]]
        pairs = np.zeros(len(ends), near_duplicates.ALIKE)
        pairs["rank"], pairs["first"], pairs["second"] = rank[ends[:, 0]], ends[:, 0], ends[:, 1]
        pairs.sort()
        for group in range(groups):
            (Path(folder) / f"copies-{group:06d}").write_bytes(b"")
            (Path(folder) / f"copied-{group:06d}").write_bytes(b"")
            (Path(folder) / f"alike-{group:06d}").write_bytes(pairs[group::groups].tobytes())
        tracemalloc.start()
        verdicts.decide(work)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        stays = np.ones(documents, bool)
        for _, first, second, _ in pairs.tolist():
            stays[second] &= not stays[first]
        assert (stays == (verdicts.verdicts(0, documents, work)["fate"] == verdicts.STAYS)).all()
    assert (
        peaks[1] < 1.5 * peaks[0] < 1e6
    )  # ten times the pairs; what else a process allocates meanwhile varies by a tenth
