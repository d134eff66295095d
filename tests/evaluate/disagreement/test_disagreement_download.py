"""DICES is downloaded once, checked, kept; every way in which that fails has its words."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest
from rater_toys import synthetic_dices

from togi.errors import SurroundingsError, UsageError
from togi.evaluate.disagreement import download, loaders
from togi.evaluate.disagreement.download import DICES, PUBLISHED, Published, fetch
from togi.evaluate.disagreement.loaders import LEFT_OUT_350, Reading, load

BODY = b"item_id,rater_id\n" + b"1,2\n" * 1000


def pinned(body: bytes = BODY) -> Published:
    return Published("350/a.csv", len(body), hashlib.sha256(body).hexdigest())


def client(answer) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(answer))


def test_a_file_is_fetched_once_and_then_taken_from_the_cache(tmp_path: Path):
    asked, said = [], []

    def answer(request):
        asked.append(str(request.url))
        return httpx.Response(200, content=BODY)

    for _ in range(2):
        path = fetch(pinned(), tmp_path, say=said.append, client=client(answer))
        assert path.read_bytes() == BODY
    assert asked == [download.ADDRESS + "350/a.csv"]
    assert said == ["fetching a.csv (0 MB, CC BY 4.0), once"]
    assert [p.name for p in path.parent.iterdir()] == ["a.csv"]
    path.write_bytes(BODY[:-1] + b"x")
    fetch(pinned(), tmp_path, say=said.append, client=client(answer))
    assert "damaged" in said[1]
    assert path.read_bytes() == BODY


def test_another_file_than_the_pinned_one_is_refused_and_not_kept(tmp_path: Path):
    def cut(request):
        return httpx.Response(200, content=BODY[:100])

    with pytest.raises(SurroundingsError, match=r"not the pinned one.*SHA-256.*try again later"):
        fetch(pinned(), tmp_path, client=client(cut), say=lambda _: None)
    assert not list((tmp_path / "data" / "dices").iterdir())


@pytest.mark.parametrize("status", [404, 500])
def test_a_server_that_refuses(tmp_path: Path, status: int):
    with pytest.raises(
        SurroundingsError, match=rf"could not be downloaded.*{status}.*put the file"
    ):
        fetch(
            pinned(), tmp_path, client=client(lambda _: httpx.Response(status)), say=lambda _: None
        )


def test_no_network(tmp_path: Path):
    def none(request):
        raise httpx.ConnectError("no route to host", request=request)

    with pytest.raises(SurroundingsError, match=r"could not be downloaded.*no route to host"):
        fetch(pinned(), tmp_path, client=client(none), say=lambda _: None)


def test_offline_says_where_to_put_the_file(tmp_path: Path):
    with pytest.raises(SurroundingsError, match=r"is not in the cache and the network may not"):
        load("dices:350", cache=tmp_path, offline=True)
    with pytest.raises(UsageError, match=r"no data set is called 'dices:351'.*dices:350"):
        load("dices:351", cache=tmp_path)


def test_the_papers_raters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The 19 raters are left out by id; other sources have no such list."""
    path = tmp_path / DICES["dices:350"].name
    synthetic_dices(path)
    text = path.read_text(encoding="utf-8").replace("296708581700003", sorted(LEFT_OUT_350)[0])
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(loaders, "fetch", lambda *_, **__: path)
    everyone = load("dices:350").ratings
    paper = load("dices:350", Reading(raters="paper")).ratings
    assert (len(everyone.raters), len(paper.raters)) == (30, 29)
    assert "20 rows left out: rater left out" in paper.notes
    assert len(LEFT_OUT_350) == 19
    with pytest.raises(UsageError, match="known of dices:350 only"):
        load(str(synthetic_dices(tmp_path / "own.csv")), Reading(raters="paper"))


def test_togi_fetch_brings_what_the_recipe_names(tmp_path: Path, monkeypatch, capsys):
    from togi.commands.fetch import _source

    monkeypatch.setattr(download, "fetch", lambda wanted: tmp_path / wanted.name)
    _source("dices:990")
    assert "dices:990: " in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"no such data set.*'dices:990'"):
        _source("dices:991")


def test_what_is_pinned():
    assert DICES["dices:350"].sha256.startswith("63cb8620eb04e64957f9")
    assert {wanted.size for wanted in DICES.values()} == {31_143_485, 50_399_432}


def test_davidsons_tweets_come_from_one_commit_and_are_checked(tmp_path: Path):
    wanted = PUBLISHED["davidson:2017"]
    asked = []

    def answer(request):
        asked.append(str(request.url))
        return httpx.Response(200, content=b"count,hate_speech\n")

    with pytest.raises(SurroundingsError, match=f"not the pinned one.*{wanted.sha256}"):
        fetch(wanted, tmp_path, client=client(answer), say=lambda _: None)
    assert asked[0].endswith("/cb50f7e9eb855a99abc51423bf40df0e26d6fe30/data/labeled_data.csv")
    with pytest.raises(SurroundingsError, match=r"labeled_data\.csv is not in the cache"):
        load("davidson:2017", cache=tmp_path, offline=True)
    with pytest.raises(UsageError, match="did you mean 'davidson:2017'"):
        load("davidson:2018", cache=tmp_path)
