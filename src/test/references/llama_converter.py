"""llama.cpp's converter, of a tree given, with our tokenizer in place of the folder's."""
import os
import sys
from pathlib import Path

import tiny_tokenizer


def use(tree):
    """Before the first import of gguf: the tree's own version of it belongs to the converter."""
    sys.path.insert(1, tree)
    sys.path.insert(1, os.path.join(tree, 'gguf-py'))


def convert(folder, path, overrides):
    """overrides: configuration by other values than transformers writes; None: without the key."""
    import gguf
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
    folder = Path(folder)
    hparams = ModelBase.load_hparams(folder, False)
    for key, value in overrides.items():
        hparams[key] = value
        if value is None:
            del hparams[key]
    arch = get_model_architecture(hparams, ModelType.TEXT)
    ModelBase.no_mtp = True
    model = get_model_class(arch)(folder, gguf.LlamaFileType.ALL_F32, Path(path), hparams=hparams)
    model.set_vocab = lambda: tiny_tokenizer.write(model.gguf_writer, model.find_hparam(['vocab_size']))
    model.model_name = 'reference'
    model.write()
