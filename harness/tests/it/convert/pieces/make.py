"""Made the files beside it, of a text: python3 make.py TEXT. Needs, from PyPI, sentencepiece 0.2.3,
protobuf, transformers 5.24.0 and tokenizers 0.23.3. Another text makes another vocabulary."""

import io
import json
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers.convert_slow_tokenizer import generate_merges

SPACE = "\u2581"
TEXTS = [
    "", "a", " ", "  two  spaces ", "tabs\tand\nnew lines\r\n", "naïve café — “quotes” ¿?", "語 🐋 Ω",
    "Tells whether a low-bit LLM engine computes what the C++ reference computes, bit for bit.",
    "123 4567 0.89", "<tool>call<tool>", "a <tool> b", "<|end|>", "|---|---|",
    "cargo run -p harness -- crossval", "The whale, the WHALE!", SPACE + "under", "z" * 16, "ééé",
    "    indented\n    code", "x\0y", "\ufffd\u200b",
]

with open(sys.argv[1]) as file:
    lines = [line.strip() for line in file if line.strip()]
trained = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(lines), model_writer=trained, model_type="bpe", vocab_size=640,
    byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
    character_coverage=0.99, split_digits=True, allow_whitespace_only_pieces=True, num_threads=1,
    max_sentencepiece_length=12, control_symbols=["<|end|>"], user_defined_symbols=["<tool>"])
model = sentencepiece_model_pb2.ModelProto.FromString(trained.getvalue())
with open("tokenizer.model", "wb") as file:
    file.write(trained.getvalue())

vocab = {piece.piece: id for id, piece in enumerate(model.pieces)}
fast = Tokenizer(models.BPE(
    vocab=vocab, merges=generate_merges(vocab), unk_token="<unk>", fuse_unk=True,
    byte_fallback=True))
fast.normalizer = normalizers.Sequence([
    normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
fast.decoder = decoders.Sequence([
    decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(),
    decoders.Strip(" ", 1, 0)])
added = lambda kinds, special: [
    AddedToken(piece.piece, normalized=False, special=special)
    for piece in model.pieces if piece.type in kinds]
fast.add_special_tokens(added((2, 3), True))
fast.add_tokens(added((4,), False))
fast.save("tokenizer.json", pretty=False)

slow = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
said = [{
    "text": text,
    "sentencepiece": slow.encode(text),
    "tokenizers": fast.encode(text, add_special_tokens=False).ids,
} for text in TEXTS]
with open("texts.json", "w") as file:
    file.write("[\n" + ",\n".join("  " + json.dumps(one) for one in said) + "\n]\n")
