#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/*.json: ids and texts that the reference libraries give for hard inputs.

pip install tokenizers tiktoken sentencepiece; then: tools/goldens/tokenizer.py DATA_FOLDER
where DATA_FOLDER/tokenizers holds the published tokenizer files. Small SentencePiece models are trained here, so that their
files can be committed.
"""
import base64
import io
import json
import pathlib
import random
import sys

import sentencepiece
import tiktoken
import tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "golden" / "tokenizer"

TEXTS = [
    "", " ", "  ", "   ", "\n", "\n\n", "\t", " \n ", "\r\n", "\u00a0", "\u3000x", "a", " a", "  a", "a ", "a  ", "a  b", " a  b ",
    "Hello world", " Hello world", "Hello, y'all! We'Ve done it, I'LL SAY 'tis don't.", "it's 'S it\u2019s 'd'm 'lls 're",
    "1", "12", "123", "1234", "12345678901", "3.14159 1,000,000 \u0663\u0664\u0665 \u2167 \u00bd\u00b2", "x1y22z333",
    "def f(x):\n    return x  +  1\n\n\n# done\r\n\tend;", "http://a.b/c?d=e&f=%20#g//", "a/b\n//c\n\n  d", "!!!???...\n\n", "()[]{}<>$^+=~`|",
    "\u00c4pfel caf\u00e9 cafe\u0301 na\u00efve \u00c5ngstr\u00f6m A\u030angstro\u0308m", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e9\u05dc\u05d5\u05dd",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u1780\u17b6\u1793\u17cb\u178f\u17c2", "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3001\u30ab\u30bf\u30ab\u30ca\u3002\u4e2d\u6587\uff01",
    "\ud55c\uad6d\uc5b4 \ud14d\uc2a4\ud2b8", "\U0001f600\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1ea\U0001f1f8 \u2705\ufe0f", "\u200b\u200d\ufeff\u00ad\u2028\u2029\u0085",
    "\ufb01 \uff21\uff22\uff23 \u2460 \u212b \u01c5 \u0130I\u0131i \u1e9e\u00df", "\u0301\u0301a", "e\u0301\u0323\u0301", "\U00010400\U0001d54f\U000e0001\U0010ffff", "\u0000\u0001\u007f",
    "HTTPServer camelCase SCREAMING_SNAKE x\u2080 McDonald's O'Neil", "\u00aa\u02b0\u01c5\u10d0\u4e00A\u0301b", "\u017fword '\u017f 'ST",
    "<s>Hello</s>", "a<s> b </s> c", "<|endoftext|>", "x<|im_start|>user\nhi<|im_end|>\n", "<unk><pad>", "<0x0A><0xE4>", "\u2581a\u2581\u2581b", "<extra_id_0> and <extra_id_99>",
    "<|assistant|>   tail", "  <|user|>\n\n x", "[CLS] a [SEP]", "unaffable running!", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "The quick brown fox jumps over the lazy dog. " * 3, "  leading\n\n   and   trailing   \n ",
]


def random_texts(count):
    """Random mixtures of scripts, spaces and marks, from a fixed seed."""
    rng = random.Random(20261121)
    pools = [
        "abcdefghij ABC", "   \n\t\r\u00a0\u2003\u3000", "0123456789\u0660\u00bc", ".,;:!?'\"()-_/\\<>|", "\u00e9\u00fc\u00f1\u0301\u0308\u030a",
        "\u0434\u0436\u042f\u0416", "\u05d0\u05d1 \u0628\u062a\u0640", "\u4e2d\u6587\u5b57\u304b\u30ab\uac00", "\U0001f600\U0001f468\u200d\U0001f3fd\ufe0f", "\u2581\u00ad\u200b\ufffd",
        "'s't're've'm'll'd'S'T'RE", "\u0915\u094d\u0937\u093f \u0e01\u0e33",
    ]
    texts = []
    for _ in range(count):
        text = ""
        for _ in range(rng.randint(1, 8)):
            pool = rng.choice(pools)
            text += "".join(rng.choice(pool) for _ in range(rng.randint(1, 5)))
        texts.append(text)
    return texts


def hugging_face(path, texts):
    spec = json.loads(path.read_text())
    # The copy of Llama 2 that is around lost its no-break spaces, which leaves merges that the library refuses.
    if "merges" in spec["model"]:
        spec["model"]["merges"] = [merge for merge in spec["model"]["merges"] if merge.count(" ") == 1]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(spec))
    # The library decodes a normalized special token as its normalized text, and then does not know it as special.
    for token in spec["added_tokens"]:
        token["normalized"] = False
    decoder = tokenizers.Tokenizer.from_str(json.dumps(spec))
    result = {"plain": [], "special": [], "decoded": [], "decoded_all": []}
    for text in texts:
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        special = tokenizer.encode(text, add_special_tokens=True).ids
        result["plain"].append(plain)
        result["special"].append(special)
        result["decoded"].append(decoder.decode(special, skip_special_tokens=True))
        result["decoded_all"].append(decoder.decode(special, skip_special_tokens=False))
    return result


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def main():
    data = pathlib.Path(sys.argv[1]) / "tokenizers"
    texts = TEXTS + random_texts(100)
    golden = {"texts": texts, "tokenizers": {}}
    for name in ["gpt2", "llama2", "phi-3-mini", "smollm2", "t5-small"]:
        golden["tokenizers"][name] = hugging_face(data / name / "tokenizer.json", texts)
    write("hugging_face.json", golden)


if __name__ == "__main__":
    main()
