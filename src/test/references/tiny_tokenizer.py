"""A byte-level BPE tokenizer of 320 tokens, trained on the prompts themselves: the models have random weights, so it only has to exist."""
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PROMPTS = [
    'The old clock in the hall',
    "SELECT name, price FROM items WHERE price > 42.50; -- it's 3 rows, isn't it? Café Zürich: naïve 你好",
    'It was late in the autumn when the surveyors came down from the hills with their chains and their notebooks, and the whole '
    'village turned out to see them pass. They had measured the river in seven places, they said, and in none of the seven had it '
    'agreed with the map; the bridge stood forty yards to the north of where it ought to have stood.',
]
SPECIAL = ['<unk>', '<s>', '</s>']
N_VOCAB = 320


def load():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=N_VOCAB, special_tokens=SPECIAL, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  show_progress=False)
    tokenizer.train_from_iterator(PROMPTS, trainer)
    assert tokenizer.get_vocab_size() == N_VOCAB
    return tokenizer


def write(writer, n_vocab):
    """The tokenizer as GGUF metadata, filled up to n_vocab."""
    import json
    model = json.loads(load().to_str())['model']
    tokens = sorted(model['vocab'], key=model['vocab'].get)
    tokens += ['[PAD%d]' % i for i in range(len(tokens), n_vocab)]
    merges = [m if isinstance(m, str) else ' '.join(m) for m in model['merges']]
    writer.add_tokenizer_model('gpt2')
    writer.add_tokenizer_pre('gpt-2')
    writer.add_token_list(tokens)
    writer.add_token_types([3 if i < len(SPECIAL) else 1 if i < N_VOCAB else 5 for i in range(n_vocab)])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
