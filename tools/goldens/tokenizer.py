#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/*.json: ids and texts that the reference libraries give for hard inputs.

pip install tokenizers tiktoken sentencepiece; then: tools/goldens/tokenizer.py DATA_FOLDER
where DATA_FOLDER/tokenizers holds the published tokenizer files. Small SentencePiece models are trained here, so that their
files can be committed.
"""
import os
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
        spec["model"]["merges"] = [merge for merge in spec["model"]["merges"] if not isinstance(merge, str) or merge.count(" ") == 1]
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


def train_sentencepiece(name, corpus, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, num_threads=1, character_coverage=0.999, minloglevel=2, **options)
    (OUT / f"{name}.model").write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def sentence_piece(corpus, texts):
    # "lower case" one letter, map a ligature, two letters to one, and delete a character: all kinds of rules, in a small map.
    rules = OUT / "rules.tsv"
    rules.write_text("41\t61\nFB01\t66 69\n61 65\tE6\nAD\t\nA0\t20\n3000\t20\n")
    models = {
        "spm_bpe": train_sentencepiece(
            "spm_bpe", corpus, model_type="bpe", vocab_size=600, byte_fallback=True, normalization_rule_name="identity",
            remove_extra_whitespaces=False, user_defined_symbols=["<tool>", "\u2581\u2581", "\n"], control_symbols=["<|end|>"]),
        "spm_unigram": train_sentencepiece(
            "spm_unigram", corpus, model_type="unigram", vocab_size=500, normalization_rule_tsv=os.path.relpath(rules),
            user_defined_symbols=["<tool>"]),
    }
    rules.unlink()
    texts = [text for text in texts if "\0" not in text] + ["a<tool>b <tool> c", "x  y   z", "Aardvark \ufb01sh aegis", "a\nb\n\nc"]
    golden = {"texts": texts, "tokenizers": {}}
    for name, model in models.items():
        ids = [model.encode(text) for text in texts]
        golden["tokenizers"][name] = {"plain": ids, "decoded": [model.decode(one) for one in ids]}
    write("sentencepiece.json", golden)


def tik_token(data, texts):
    def read(path):
        lines = path.read_bytes().splitlines()
        return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}

    llama3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
              r"|\s+(?!\S)|\s+")
    o200k = "|".join([
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
    golden = {"texts": texts, "tokenizers": {}}
    for name, path, pattern in [("llama3", data / "llama3" / "tokenizer.model", llama3),
                                ("o200k", data / "tiktoken" / "o200k_base.tiktoken", o200k)]:
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=read(path), special_tokens={})
        golden["tokenizers"][name] = {"plain": [encoding.encode_ordinary(text) for text in texts]}
    write("tiktoken.json", golden)


def small_tokenizers(corpus, texts):
    """Tokenizers with parts that the published files above don't have, trained small enough to commit."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    def finish(name, tokenizer):
        spec = json.loads(tokenizer.to_str())
        write(f"{name}.tokenizer.json", spec)
        path = OUT / f"{name}.tokenizer.json"
        return hugging_face(path, texts)

    golden = {"texts": texts, "tokenizers": {}}
    bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = normalizers.BertNormalizer()
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    bert.decoder = decoders.WordPiece()
    bert.train_from_iterator(corpus, trainers.WordPieceTrainer(
        vocab_size=500, limit_alphabet=120, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    bert.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    golden["tokenizers"]["wordpiece"] = finish("wordpiece", bert)

    roberta = Tokenizer(models.BPE())
    roberta.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    roberta.decoder = decoders.ByteLevel()
    roberta.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<s>", "</s>"]))
    roberta.add_special_tokens([tokenizers.AddedToken("<mask>", lstrip=True), tokenizers.AddedToken("<sep>", rstrip=True)])
    roberta.add_tokens([tokenizers.AddedToken("whole", single_word=True), tokenizers.AddedToken("<t>", lstrip=True, rstrip=True)])
    roberta.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    golden["tokenizers"]["roberta"] = finish("roberta", roberta)

    falcon = Tokenizer(models.BPE())
    falcon.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Digits(),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
    falcon.decoder = decoders.ByteLevel()
    falcon.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=350, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|endoftext|>"]))
    golden["tokenizers"]["falcon"] = finish("falcon", falcon)

    gemma = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    gemma.normalizer = normalizers.Replace(" ", "\u2581")
    gemma.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    gemma.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    gemma.train_from_iterator(
        [line.replace(" ", "\u2581") for line in corpus[:400]],
        trainers.BpeTrainer(vocab_size=600, show_progress=False, limit_alphabet=100,
                            special_tokens=["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)]))
    # Bytes are plain tokens of the model, as in Gemma's file.
    spec = json.loads(gemma.to_str())
    spec["added_tokens"] = [token for token in spec["added_tokens"] if not token["content"].startswith("<0x")]
    golden["tokenizers"]["gemma"] = finish("gemma", Tokenizer.from_str(json.dumps(spec)))

    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.Sequence([
        normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip(left=False),
        normalizers.Lowercase(), normalizers.NFD()])
    unigram.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Metaspace(prepend_scheme="first"), pre_tokenizers.Punctuation("merged_with_next"),
        pre_tokenizers.Digits(individual_digits=True)])
    unigram.decoder = decoders.Metaspace(prepend_scheme="first")
    unigram.train_from_iterator(corpus[:3000], trainers.UnigramTrainer(
        vocab_size=300, show_progress=False, unk_token="<unk>", special_tokens=["<unk>", "</s>"]))
    golden["tokenizers"]["unigram"] = finish("unigram", unigram)

    words = Tokenizer(models.BPE(unk_token="[UNK]"))
    words.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Prepend("x"), normalizers.Strip(right=False)])
    words.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\w+@\w+"), "isolated"), pre_tokenizers.CharDelimiterSplit("-"), pre_tokenizers.Whitespace()])
    words.train_from_iterator(corpus[:3000], trainers.BpeTrainer(vocab_size=200, show_progress=False, special_tokens=["[UNK]"]))
    golden["tokenizers"]["words"] = finish("words", words)
    write("small.json", golden)


def main():
    data = pathlib.Path(sys.argv[1])
    texts = TEXTS + random_texts(100)
    golden = {"texts": texts, "tokenizers": {}}
    for name in ["gpt2", "llama2", "phi-3-mini", "smollm2", "t5-small"]:
        golden["tokenizers"][name] = hugging_face(data / "tokenizers" / name / "tokenizer.json", texts)
    write("hugging_face.json", golden)
    tik_token(data / "tokenizers", texts)
    corpus = (data / "text" / "tinyshakespeare.txt").read_text().splitlines()[:6000]
    corpus = [line for line in corpus if line] + [text.replace("\n", " ") for text in TEXTS if text.strip() and "\0" not in text]
    sentence_piece(corpus, TEXTS + random_texts(60))
    small_tokenizers(corpus, TEXTS + random_texts(30) + [
        "a <mask> b", "x<mask>", "<sep>   y", "the whole thing wholesale awhole whole", "z <t> w", "me@home - you@work -- x-y"])


if __name__ == "__main__":
    main()
