"""Cleaned paragraphs, and phrases about unknown things, from an archive of public-domain books."""

import random
import re
import tarfile
import zlib
from pathlib import Path

_PLAIN = str.maketrans(
    {"“": '"', "”": '"', "‘": "'", "’": "'", "—": " - ", "–": "-", "…": "...", "\u00a0": " "}
)
_ALLOWED = re.compile(r"[A-Za-z0-9 .,;:!?'\"()\-]+")
_NOUN_PHRASE = re.compile(r"\b(the [a-z]{4,12} of (?:the |a )?[a-z]{4,12})(?=[,.;])")
_FULL_NAME = re.compile(r"(?<=[a-z] )([A-Z][a-z]{2,10} [A-Z][a-z]{2,10})(?=[ ,.;])")


def _clean(paragraph: str) -> str:
    text = " ".join(paragraph.translate(_PLAIN).replace("_", "").replace("*", "").split())
    return re.sub(r" *(--| - )[ -]*", " - ", text)


def read_paragraphs(archive: Path, seed: int, max_books: int = 72) -> list[str]:
    """Paragraphs of 200 to 1,200 plain characters, shuffled; marked-up and foreign ones are dropped."""
    paragraphs = []
    with tarfile.open(archive) as tar:
        members = [m for m in tar.getmembers() if m.name.endswith(".md")]
        for member in members[:max_books]:
            text = tar.extractfile(member).read().decode("utf-8", errors="ignore").replace("\r\n", "\n")
            for paragraph in text.split("\n\n"):
                cleaned = _clean(paragraph)
                if 200 <= len(cleaned) <= 1200 and _ALLOWED.fullmatch(cleaned):
                    paragraphs.append(cleaned)
    random.Random(seed).shuffle(paragraphs)
    return paragraphs


def split_held_out(paragraphs: list[str]) -> tuple[list[str], list[str]]:
    """(train, held out): one paragraph in 100 is held out, by its hash."""
    held = [p for p in paragraphs if zlib.crc32(p.encode()) % 100 == 0]
    return [p for p in paragraphs if zlib.crc32(p.encode()) % 100], held


def mine_phrases(paragraphs: list[str], limit: int) -> list[str]:
    """Noun phrases and full names, the same for the same paragraphs."""
    found: dict[str, None] = {}
    for paragraph in paragraphs:
        for pattern in (_NOUN_PHRASE, _FULL_NAME):
            found.update(dict.fromkeys(pattern.findall(paragraph)))
        if len(found) >= limit:
            break
    return list(found)[:limit]
