#!/usr/bin/env python3
"""Make random encoders, embedders and cross-encoders, and what Hugging Face transformers computes on them in float32.

    encoders.py OUTDIR [--large]

Writes NAME.gguf and NAME.json into OUTDIR for each model below. Without --large the models are a few kilobytes: those are
the test data in sql-tests/data/encoders. With it they have real proportions, for a check by hand (check_encoders.py).
Needs torch, transformers, gguf and tokenizers. Weights of matrices are rounded to half precision first, so that the files
and the references hold the same numbers. jina-bert-v2 and nomic-bert-moe, which transformers does not have, are computed by
the plain functions here, written from their papers and published code.
"""
import argparse
import json
import math
import os

import gguf
import numpy as np
import torch
import torch.nn.functional as F
import tokenizers
import transformers

LARGE = False
VOCAB = 96


def pick(small, large):
    return large if LARGE else small


# ---- weights ----

def randomise(model, seed):
    """Weights that matter everywhere: matrices of a size that keeps the stream alive, norms around 1, biases around 0."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            r = torch.randn(p.shape, generator=g)
            if p.dim() > 1:
                scale = 0.7 if 'embed' in name.lower() or 'tok' in name else 1.6 / math.sqrt(p.shape[-1])
                p.copy_((r * scale).half().float())
            elif 'norm' in name.lower() and name.endswith('weight'):
                # Gemma's weights are stored without their 1
                p.copy_(r * 0.2 + (0 if getattr(model, 'zero_norms', False) else 1))
            else:
                p.copy_(r * 0.3)
    return model.eval().float()


# ---- tokenizers: a vocabulary of letters, digits and a few pieces ----

PIECES = ['th', 'he', 'in', 'er', 'an', 're', 'the', 'and', 'ing', 'data', 'base', 'row', 'page', 'cat', 'sleep', 'warm']


def wordpiece():
    special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    letters = [chr(c) for c in range(ord('a'), ord('z') + 1)]
    tokens = special + letters + ['##' + c for c in letters] + list('.,?!') + PIECES
    tokens += ['##' + p for p in PIECES]
    tokens += ['zz%d' % i for i in range(VOCAB - len(tokens))]
    t = tokenizers.Tokenizer(tokenizers.models.WordPiece({x: i for i, x in enumerate(tokens)}, unk_token='[UNK]'))
    t.normalizer = tokenizers.normalizers.BertNormalizer()
    t.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    t.post_processor = tokenizers.processors.TemplateProcessing(
        single='[CLS] $A [SEP]', pair='[CLS] $A [SEP] $B:1 [SEP]:1', special_tokens=[('[CLS]', 2), ('[SEP]', 3)])
    return t, tokens


def write_wordpiece(w, tokens, n_types):
    w.add_tokenizer_model('bert')
    w.add_tokenizer_pre('default')
    w.add_token_list([x if x.startswith('[') and len(x) > 1 else x[2:] if x.startswith('##') else '\u2581' + x for x in tokens])
    w.add_token_types([3 if i < 5 else 1 for i in range(len(tokens))])
    w.add_token_type_count(n_types)
    w.add_bos_token_id(2)
    w.add_eos_token_id(3)
    w.add_sep_token_id(3)
    w.add_pad_token_id(0)
    w.add_unk_token_id(1)
    w.add_mask_token_id(4)
    w.add_add_bos_token(True)
    w.add_add_eos_token(True)


def unigram():
    vocab = [('<s>', 0.0), ('<pad>', 0.0), ('</s>', 0.0), ('<unk>', 0.0), ('\u2581', -2.0)]
    vocab += [(chr(c), -4.0 - 0.01 * (c - ord('a'))) for c in range(ord('a'), ord('z') + 1)]
    vocab += [(c, -4.5) for c in '.,?!'] + [(p, -5.0 - 0.01 * i) for i, p in enumerate(PIECES)]
    vocab += [('\u2581' + p, -5.2 - 0.01 * i) for i, p in enumerate(PIECES)]
    vocab += [('\u2581' + chr(c), -5.7 - 0.01 * (c - ord('a'))) for c in range(ord('a'), ord('z') + 1)]
    vocab += [('zz%d' % i, -20.0) for i in range(VOCAB - len(vocab))]
    t = tokenizers.Tokenizer(tokenizers.models.Unigram(vocab, unk_id=3))
    t.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    t.post_processor = tokenizers.processors.TemplateProcessing(
        single='<s> $A </s>', pair='<s> $A </s> </s> $B </s>', special_tokens=[('<s>', 0), ('</s>', 2)])
    return t, vocab


def write_unigram(w, vocab):
    w.add_tokenizer_model('t5')
    w.add_tokenizer_pre('default')
    w.add_token_list([x for x, _ in vocab])
    w.add_token_scores([s for _, s in vocab])
    w.add_token_types([3, 3, 3, 2] + [1] * (len(vocab) - 4))
    w.add_token_type_count(1)
    w.add_add_space_prefix(True)
    w.add_remove_extra_whitespaces(True)
    w.add_bos_token_id(0)
    w.add_eos_token_id(2)
    w.add_sep_token_id(2)
    w.add_pad_token_id(1)
    w.add_unk_token_id(3)
    w.add_add_bos_token(True)
    w.add_add_eos_token(True)
    w.add_add_sep_token(True)


# ---- files ----

def tensor(w, name, value):
    a = value.detach().float().numpy()
    w.add_tensor(name, np.ascontiguousarray(a.astype(np.float16) if a.ndim > 1 else a))


def linear(w, name, module):
    tensor(w, name + '.weight', module.weight)
    if module.bias is not None:
        tensor(w, name + '.bias', module.bias)


norm = linear


def open_writer(path, arch, n_layer, n_embd, n_head, n_ff, n_ctx, eps=1e-12, pooling=1, **more):
    w = gguf.GGUFWriter(path, arch)
    w.add_name(os.path.basename(path))
    w.add_block_count(n_layer)
    w.add_context_length(n_ctx)
    w.add_embedding_length(n_embd)
    w.add_feed_forward_length(n_ff)
    w.add_head_count(n_head)
    w.add_layer_norm_eps(eps)
    w.add_layer_norm_rms_eps(eps)
    w.add_causal_attention(False)
    if pooling is not None:
        w.add_pooling_type(gguf.PoolingType(pooling))
    return w


def close_writer(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def formula_ids(n, bos=None, eos=None):
    """Token ids that need no place in the JSON: the tests make them again."""
    ids = [(7 * i * i + 3 * i + 5) % (VOCAB - 5) + 5 for i in range(n)]
    if bos is not None:
        ids[0] = bos
    if eos is not None and n > 1:
        ids[-1] = eos
    return ids


def rounded(values):
    return [float('%.7g' % x) for x in values]


def prompts(run, lengths, bos, eos):
    out = []
    for n in lengths:
        with torch.no_grad():
            out.append({'n': n, 'bos': bos, 'eos': eos, 'values': rounded(run(formula_ids(n, bos, eos)).flatten().tolist())})
    return out


PAIRS = [('the cat sleeps', 'a cat sleeps on the warm page.'), ('data', 'rows in pages? and the database!')]


def pairs(run, t):
    out = []
    for q, d in PAIRS:
        e = t.encode(q, d)
        with torch.no_grad():
            out.append({'query': q, 'document': d, 'token_ids': e.ids, 'values': rounded(run(e.ids, e.type_ids).flatten().tolist())})
    return out


def save(outdir, name, j):
    with open(os.path.join(outdir, name + '.json'), 'w') as f:
        json.dump(j, f, separators=(',', ':'))
        f.write('\n')


def pool(hidden, kind):
    return {1: lambda h: h.mean(1), 2: lambda h: h[:, 0], 3: lambda h: h[:, -1]}[kind](hidden)


LENGTHS = [1, 2, 9, 63, 64, 65, 75]


# ---- BERT and what has its form ----

def bert_layers(w, model, head=''):
    for i, l in enumerate(model.encoder.layer):
        b = 'blk.%d.' % i
        linear(w, b + 'attn_q', l.attention.self.query)
        linear(w, b + 'attn_k', l.attention.self.key)
        linear(w, b + 'attn_v', l.attention.self.value)
        linear(w, b + 'attn_output', l.attention.output.dense)
        norm(w, b + 'attn_output_norm', l.attention.output.LayerNorm)
        linear(w, b + 'ffn_up', l.intermediate.dense)
        linear(w, b + 'ffn_down', l.output.dense)
        norm(w, b + 'layer_output_norm', l.output.LayerNorm)


def bert_embeddings(w, e, skip_positions):
    tensor(w, 'token_embd.weight', e.word_embeddings.weight)
    tensor(w, 'position_embd.weight', e.position_embeddings.weight[skip_positions:])
    tensor(w, 'token_types.weight', e.token_type_embeddings.weight)
    norm(w, 'token_embd_norm', e.LayerNorm)


def bert_cross_encoder(outdir):
    """BertForSequenceClassification: pooler, classifier, token types; heads of an odd size."""
    n_embd, n_head, n_ff, n_ctx = pick((20, 4, 36, 80), (100, 4, 300, 512))
    c = transformers.BertConfig(vocab_size=VOCAB, hidden_size=n_embd, num_hidden_layers=pick(2, 5), num_attention_heads=n_head,
                                intermediate_size=n_ff, max_position_embeddings=n_ctx, type_vocab_size=2, num_labels=1,
                                attn_implementation='eager')
    m = randomise(transformers.BertForSequenceClassification(c), 1)
    t, tokens = wordpiece()
    w = open_writer(os.path.join(outdir, 'bert-cross.gguf'), 'bert', c.num_hidden_layers, n_embd, n_head, n_ff, n_ctx, pooling=None)
    write_wordpiece(w, tokens, 2)
    bert_embeddings(w, m.bert.embeddings, 0)
    bert_layers(w, m.bert)
    linear(w, 'cls', m.bert.pooler.dense)
    linear(w, 'cls.output', m.classifier)
    close_writer(w)
    run = lambda ids, types=None: m(torch.tensor([ids]), token_type_ids=None if types is None else torch.tensor([types])).logits
    save(outdir, 'bert-cross', {'kind': 'rerank', 'prompts': prompts(run, LENGTHS, 2, 3), 'pairs': pairs(run, t)})


def xlm_roberta(outdir):
    """XLMRobertaModel: unigram tokenizer, positions shifted by two, one token type; CLS pooling."""
    n_embd, n_head, n_ff, n_ctx = pick((24, 3, 40, 80), (96, 3, 200, 512))
    c = transformers.XLMRobertaConfig(vocab_size=VOCAB, hidden_size=n_embd, num_hidden_layers=pick(2, 4), num_attention_heads=n_head,
                                      intermediate_size=n_ff, max_position_embeddings=n_ctx + 2, type_vocab_size=1, pad_token_id=1,
                                      layer_norm_eps=1e-5, attn_implementation='eager')
    m = randomise(transformers.XLMRobertaModel(c, add_pooling_layer=False), 2)
    _, vocab = unigram()
    w = open_writer(os.path.join(outdir, 'xlm-roberta.gguf'), 'bert', c.num_hidden_layers, n_embd, n_head, n_ff, n_ctx, 1e-5, 2)
    write_unigram(w, vocab)
    bert_embeddings(w, m.embeddings, 2)
    bert_layers(w, m)
    close_writer(w)
    run = lambda ids: pool(m(torch.tensor([ids])).last_hidden_state, 2)
    save(outdir, 'xlm-roberta', {'kind': 'embed', 'prompts': prompts(run, LENGTHS, 0, 2)})


def xlm_roberta_cross_encoder(outdir):
    """XLMRobertaForSequenceClassification: two-layer head, pairs with two separators."""
    n_embd, n_head, n_ff, n_ctx = pick((16, 2, 24, 80), (64, 4, 128, 512))
    c = transformers.XLMRobertaConfig(vocab_size=VOCAB, hidden_size=n_embd, num_hidden_layers=pick(1, 3), num_attention_heads=n_head,
                                      intermediate_size=n_ff, max_position_embeddings=n_ctx + 2, type_vocab_size=1, pad_token_id=1,
                                      layer_norm_eps=1e-5, num_labels=1, attn_implementation='eager')
    m = randomise(transformers.XLMRobertaForSequenceClassification(c), 3)
    t, vocab = unigram()
    w = open_writer(os.path.join(outdir, 'xlm-roberta-cross.gguf'), 'bert', c.num_hidden_layers, n_embd, n_head, n_ff, n_ctx, 1e-5, 4)
    write_unigram(w, vocab)
    bert_embeddings(w, m.roberta.embeddings, 2)
    bert_layers(w, m.roberta)
    linear(w, 'cls', m.classifier.dense)
    linear(w, 'cls.output', m.classifier.out_proj)
    close_writer(w)
    run = lambda ids, types=None: m(torch.tensor([ids])).logits
    save(outdir, 'xlm-roberta-cross', {'kind': 'rerank', 'prompts': prompts(run, LENGTHS[:4], 0, 2), 'pairs': pairs(run, t)})


def rope_layers(w, m):
    for i, l in enumerate(m.layers if hasattr(m, 'layers') else m.encoder.layer):
        b = 'blk.%d.' % i
        a = l.self_attn
        tensor(w, b + 'attn_qkv.weight', torch.cat([a.q_proj.weight, a.k_proj.weight, a.v_proj.weight]))
        if a.q_proj.bias is not None:
            tensor(w, b + 'attn_qkv.bias', torch.cat([a.q_proj.bias, a.k_proj.bias, a.v_proj.bias]))
        linear(w, b + 'attn_output', a.o_proj)
        norm(w, b + 'attn_output_norm', l.post_attention_layernorm)
        norm(w, b + 'layer_output_norm', l.post_mlp_layernorm)
        if hasattr(l.mlp, 'gate_proj'):
            linear(w, b + 'ffn_gate', l.mlp.gate_proj)
            linear(w, b + 'ffn_up', l.mlp.up_proj)
            linear(w, b + 'ffn_down', l.mlp.down_proj)
        else:
            linear(w, b + 'ffn_up', l.mlp.fc1)
            linear(w, b + 'ffn_down', l.mlp.fc2)


def nomic_bert(outdir):
    """NomicBertModel; texts of more than 512 tokens."""
    n_embd, n_head, n_ff, n_ctx = pick((24, 3, 40, 1024), (96, 6, 200, 2048))
    c = transformers.NomicBertConfig(vocab_size=VOCAB, hidden_size=n_embd, num_hidden_layers=pick(2, 4), num_attention_heads=n_head,
                                     intermediate_size=n_ff, max_position_embeddings=n_ctx, type_vocab_size=2,
                                     attn_implementation='eager', rope_parameters={'rope_type': 'default', 'rope_theta': 1000.0})
    m = randomise(transformers.NomicBertModel(c, add_pooling_layer=False), 4)
    _, tokens = wordpiece()
    w = open_writer(os.path.join(outdir, 'nomic-bert.gguf'), 'nomic-bert', c.num_hidden_layers, n_embd, n_head, n_ff, n_ctx,
                    c.layer_norm_eps)
    w.add_rope_freq_base(1000.0)
    write_wordpiece(w, tokens, 2)
    e = m.embeddings
    tensor(w, 'token_embd.weight', e.word_embeddings.weight)
    tensor(w, 'token_types.weight', e.token_type_embeddings.weight)
    norm(w, 'token_embd_norm', e.LayerNorm)
    rope_layers(w, m)
    close_writer(w)
    run = lambda ids: pool(m(torch.tensor([ids])).last_hidden_state, 1)
    save(outdir, 'nomic-bert', {'kind': 'embed', 'prompts': prompts(run, LENGTHS + [511, 512, 513, 700], 2, 3)})


def jina_bert_v3(outdir):
    """JinaEmbeddingsV3Model: XLM-RoBERTa with rope."""
    n_embd, n_head, n_ff, n_ctx = pick((24, 3, 40, 256), (96, 6, 200, 2048))
    c = transformers.JinaEmbeddingsV3Config(vocab_size=VOCAB, hidden_size=n_embd, num_hidden_layers=pick(2, 4),
                                            num_attention_heads=n_head, intermediate_size=n_ff, max_position_embeddings=n_ctx,
                                            type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5, attn_implementation='eager',
                                            rope_parameters={'rope_type': 'default', 'rope_theta': 20000.0})
    m = randomise(transformers.JinaEmbeddingsV3Model(c, add_pooling_layer=False), 5)
    _, vocab = unigram()
    w = open_writer(os.path.join(outdir, 'jina-bert-v3.gguf'), 'jina-bert-v3', c.num_hidden_layers, n_embd, n_head, n_ff, n_ctx, 1e-5)
    w.add_rope_freq_base(20000.0)
    write_unigram(w, vocab)
    e = m.embeddings
    tensor(w, 'token_embd.weight', e.word_embeddings.weight)
    tensor(w, 'token_types.weight', e.token_type_embeddings.weight)
    norm(w, 'token_embd_norm', e.LayerNorm)
    rope_layers(w, m)
    close_writer(w)
    run = lambda ids: pool(m(torch.tensor([ids])).last_hidden_state, 1)
    save(outdir, 'jina-bert-v3', {'kind': 'embed', 'prompts': prompts(run, LENGTHS, 0, 2)})


# ---- ModernBERT, EuroBERT, EmbeddingGemma ----

def modern_bert(outdir, cross):
    """ModernBertModel, or with its prediction head and a classifier over the mean; windows of another size and pattern."""
    n_embd, n_head, n_ff, n_ctx = pick((24, 3, 44, 256), (96, 6, 150, 1024))
    c = transformers.ModernBertConfig(vocab_size=VOCAB, hidden_size=n_embd, num_hidden_layers=pick(3, 7), num_attention_heads=n_head,
                                      intermediate_size=n_ff, max_position_embeddings=n_ctx, local_attention=pick(14, 40),
                                      layer_types=['full_attention' if i % 2 == 0 else 'sliding_attention' for i in range(pick(3, 7))],
                                      classifier_pooling='mean', num_labels=3, attn_implementation='eager', pad_token_id=0,
                                      bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3)
    name = 'modern-bert-cross' if cross else 'modern-bert'
    m = randomise(transformers.ModernBertForSequenceClassification(c) if cross else transformers.ModernBertModel(c), 6)
    base = m.model if cross else m
    t, tokens = wordpiece()
    w = open_writer(os.path.join(outdir, name + '.gguf'), 'modern-bert', c.num_hidden_layers, n_embd, n_head, n_ff, n_ctx, c.norm_eps,
                    4 if cross else 2)
    w.add_sliding_window(c.local_attention)
    w.add_sliding_window_pattern(2)
    theta = lambda kind: float(c.rope_parameters[kind]['rope_theta'])
    w.add_rope_freq_base(theta('full_attention'))
    w.add_float32('modern-bert.rope.freq_base_swa', theta('sliding_attention'))
    w.add_string('modern-bert.hidden_activation', 'gelu')
    if cross:
        w.add_uint32('modern-bert.classifier.pooling_type', 1)
        w.add_array('modern-bert.classifier.output_labels', ['contradiction', 'entailment', 'neutral'])
    write_wordpiece(w, tokens, 1)
    tensor(w, 'token_embd.weight', base.embeddings.tok_embeddings.weight)
    norm(w, 'token_embd_norm', base.embeddings.norm)
    norm(w, 'output_norm', base.final_norm)
    for i, l in enumerate(base.layers):
        b = 'blk.%d.' % i
        if i > 0:
            norm(w, b + 'attn_norm', l.attn_norm)
        linear(w, b + 'attn_qkv', l.attn.Wqkv)
        linear(w, b + 'attn_output', l.attn.Wo)
        norm(w, b + 'ffn_norm', l.mlp_norm)
        linear(w, b + 'ffn_up', l.mlp.Wi)
        linear(w, b + 'ffn_down', l.mlp.Wo)
    if cross:
        linear(w, 'cls', m.head.dense)
        norm(w, 'cls.norm', m.head.norm)
        linear(w, 'cls.output', m.classifier)
    close_writer(w)
    if cross:
        run = lambda ids, types=None: m(torch.tensor([ids])).logits
        save(outdir, name, {'kind': 'rerank', 'prompts': prompts(run, LENGTHS[:4], 2, 3), 'pairs': pairs(run, t)})
    else:
        run = lambda ids: pool(m(torch.tensor([ids])).last_hidden_state, 2)
        save(outdir, name, {'kind': 'embed', 'prompts': prompts(run, LENGTHS + [130], 2, 3)})


def interleaved(weight, n_head):
    """Rows of a head in the order that rope of neighbouring pairs needs, as Llama's are stored."""
    return weight.view(n_head, 2, -1, weight.shape[-1]).transpose(1, 2).reshape(weight.shape)


def euro_bert(outdir, arch):
    """EuroBertModel: grouped heads. Written as llama-embed, with its order of rows, it is Llama in both directions."""
    n_embd, n_head, n_ff, n_ctx = pick((24, 4, 40, 256), (96, 6, 200, 1024))
    c = transformers.EuroBertConfig(vocab_size=VOCAB, hidden_size=n_embd, num_hidden_layers=2, num_attention_heads=n_head,
                                    num_key_value_heads=2, intermediate_size=n_ff, max_position_embeddings=n_ctx, head_dim=n_embd // n_head,
                                    attn_implementation='eager', pad_token_id=0, bos_token_id=2, eos_token_id=3, mask_token_id=4)
    m = randomise(transformers.EuroBertModel(c), 7)
    _, tokens = wordpiece()
    w = open_writer(os.path.join(outdir, arch + '.gguf'), arch, c.num_hidden_layers, n_embd, n_head, n_ff, n_ctx, c.rms_norm_eps)
    w.add_head_count_kv(2)
    w.add_rope_freq_base(float(c.rope_parameters['rope_theta']))
    write_wordpiece(w, tokens, 1)
    tensor(w, 'token_embd.weight', m.embed_tokens.weight)
    norm_only(w, 'output_norm', m.norm.weight)
    for i, l in enumerate(m.layers):
        b = 'blk.%d.' % i
        norm_only(w, b + 'attn_norm', l.input_layernorm.weight)
        for g, h, n in (('q', 'q_proj', n_head), ('k', 'k_proj', 2), ('v', 'v_proj', 0), ('output', 'o_proj', 0)):
            weight = getattr(l.self_attn, h).weight
            tensor(w, b + 'attn_%s.weight' % g, interleaved(weight, n) if n and arch == 'llama-embed' else weight)
        norm_only(w, b + 'ffn_norm', l.post_attention_layernorm.weight)
        for g in ('gate', 'up', 'down'):
            linear(w, b + 'ffn_' + g, getattr(l.mlp, g + '_proj'))
    close_writer(w)
    run = lambda ids: pool(m(torch.tensor([ids])).last_hidden_state, 1)
    save(outdir, arch, {'kind': 'embed', 'prompts': prompts(run, LENGTHS, 2, 3)})


def norm_only(w, name, value):
    tensor(w, name + '.weight', value)


def embedding_gemma(outdir):
    """Gemma3TextModel in both directions, symmetric windows, two dense layers after the mean."""
    n_embd, n_head, n_ff, n_ctx, window = pick((24, 3, 40, 256, 20), (96, 3, 200, 1024, 64))
    n_layer, head_dim = pick((3, 8), (7, 32))
    c = transformers.Gemma3TextConfig(vocab_size=VOCAB, hidden_size=n_embd, num_hidden_layers=n_layer, num_attention_heads=n_head,
                                      num_key_value_heads=1, head_dim=head_dim, intermediate_size=n_ff, max_position_embeddings=n_ctx,
                                      query_pre_attn_scalar=head_dim, sliding_window=window, use_bidirectional_attention=True,
                                      layer_types=['full_attention' if i % 3 == 2 else 'sliding_attention' for i in range(n_layer)],
                                      attn_implementation='eager', pad_token_id=0, bos_token_id=2, eos_token_id=3)
    m = transformers.Gemma3TextModel(c)
    m.zero_norms = True
    m = randomise(m, 8)
    g = torch.Generator().manual_seed(80)
    dense_2 = (torch.randn(40, n_embd, generator=g) / math.sqrt(n_embd)).half().float()
    dense_3 = (torch.randn(16, 40, generator=g) / math.sqrt(40)).half().float()
    _, tokens = wordpiece()
    w = open_writer(os.path.join(outdir, 'gemma-embedding.gguf'), 'gemma-embedding', n_layer, n_embd, n_head, n_ff, n_ctx, c.rms_norm_eps)
    w.add_head_count_kv(1)
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    w.add_sliding_window(window)
    w.add_array('gemma-embedding.attention.sliding_window_pattern', [i % 3 != 2 for i in range(n_layer)])
    w.add_rope_freq_base(float(c.rope_parameters['full_attention']['rope_theta']))
    write_wordpiece(w, tokens, 1)
    w.add_string('sentence_transformers.prompt.query', 'task: search | query: ')
    w.add_string('sentence_transformers.prompt.document', 'title: none | text: ')
    tensor(w, 'token_embd.weight', m.embed_tokens.weight)
    norm_only(w, 'output_norm', m.norm.weight + 1)
    for i, l in enumerate(m.layers):
        b = 'blk.%d.' % i
        norm_only(w, b + 'attn_norm', l.input_layernorm.weight + 1)
        for gname, h in (('q', 'q_proj'), ('k', 'k_proj'), ('v', 'v_proj'), ('output', 'o_proj')):
            linear(w, b + 'attn_' + gname, getattr(l.self_attn, h))
        norm_only(w, b + 'attn_q_norm', l.self_attn.q_norm.weight + 1)
        norm_only(w, b + 'attn_k_norm', l.self_attn.k_norm.weight + 1)
        norm_only(w, b + 'post_attention_norm', l.post_attention_layernorm.weight + 1)
        norm_only(w, b + 'ffn_norm', l.pre_feedforward_layernorm.weight + 1)
        for gname in ('gate', 'up', 'down'):
            linear(w, b + 'ffn_' + gname, getattr(l.mlp, gname + '_proj'))
        norm_only(w, b + 'post_ffw_norm', l.post_feedforward_layernorm.weight + 1)
    tensor(w, 'dense_2.weight', dense_2)
    tensor(w, 'dense_3.weight', dense_3)
    close_writer(w)
    run = lambda ids: pool(m(torch.tensor([ids])).last_hidden_state, 1) @ dense_2.T @ dense_3.T
    save(outdir, 'gemma-embedding', {'kind': 'embed', 'prompts': prompts(run, LENGTHS + [130], 2, 3)})


# ---- Jina BERT v2 and Nomic BERT with experts: plain functions ----

class Plain(torch.nn.Module):
    """Parameters by their names in the file."""

    def __init__(self, shapes):
        super().__init__()
        self.names = list(shapes)
        for name, shape in shapes.items():
            self.register_parameter(name.replace('.', '/'), torch.nn.Parameter(torch.zeros(shape)))

    def __getitem__(self, name):
        return getattr(self, name.replace('.', '/'))

    def has(self, name):
        return name in self.names


def layer_norm(p, name, x, eps):
    return F.layer_norm(x, x.shape[-1:], p[name + '.weight'], p[name + '.bias'], eps)


def alibi_slopes(n):
    power = 2 ** math.floor(math.log2(n))
    base = [2 ** (-8.0 * (i + 1) / power) for i in range(power)]
    extra = [2 ** (-4.0 * (2 * i + 1) / power) for i in range(n - power)]
    return torch.tensor(base + extra)


def attention(p, b, x, n_head, bias=None, rotate=None):
    n, d = x.shape
    q, k, v = [F.linear(x, p[b + 'attn_%s.weight' % g], p[b + 'attn_%s.bias' % g]) for g in 'qkv']
    if p.has(b + 'attn_q_norm.weight'):
        q, k = layer_norm(p, b + 'attn_q_norm', q, 1e-12), layer_norm(p, b + 'attn_k_norm', k, 1e-12)
    q, k, v = [y.view(n, n_head, d // n_head).transpose(0, 1) for y in (q, k, v)]
    if rotate is not None:
        q, k = rotate(q), rotate(k)
    s = q @ k.transpose(1, 2) / math.sqrt(d // n_head)
    if bias is not None:
        s = s + bias
    return F.linear((s.softmax(-1) @ v).transpose(0, 1).reshape(n, d), p[b + 'attn_output.weight'], p[b + 'attn_output.bias'])


def embed(p, ids):
    return layer_norm(p, 'token_embd_norm', p['token_embd.weight'][ids] + p['token_types.weight'][0], 1e-12)


def shapes_of(n_layer, n_embd, per_layer):
    s = {'token_embd.weight': (VOCAB, n_embd), 'token_types.weight': (2, n_embd), 'token_embd_norm.weight': (n_embd,),
         'token_embd_norm.bias': (n_embd,)}
    for i in range(n_layer):
        for name, shape in per_layer(i).items():
            s['blk.%d.%s' % (i, name)] = shape
    return s


def attention_shapes(n):
    s = {}
    for g in ('q', 'k', 'v', 'output'):
        s['attn_%s.weight' % g] = (n, n)
        s['attn_%s.bias' % g] = (n,)
    for g in ('attn_output_norm', 'layer_output_norm'):
        s[g + '.weight'] = (n,)
        s[g + '.bias'] = (n,)
    return s


def write_plain(w, p):
    for name in p.names:
        tensor(w, name, p[name])


def jina_bert_v2(outdir, name, code):
    """ALiBi with a head count that is no power of two; GeGLU as one matrix, or (v2-code's form) norms of queries and keys, two
    norms after attention, and a plain GELU."""
    n_embd, n_head, n_ff, n_ctx, n_layer = pick((24, 3, 40, 1024, 2), (96, 6, 200, 2048, 4))

    def per_layer(i):
        s = attention_shapes(n_embd)
        s['ffn_up.weight'] = (n_ff if code else 2 * n_ff, n_embd)
        if code:
            s['ffn_up.bias'] = (n_ff,)
            for g in ('attn_q_norm', 'attn_k_norm', 'attn_norm_2'):
                s[g + '.weight'] = s[g + '.bias'] = (n_embd,)
        s['ffn_down.weight'] = (n_embd, n_ff)
        s['ffn_down.bias'] = (n_embd,)
        return s

    p = randomise(Plain(shapes_of(n_layer, n_embd, per_layer)), 9)

    def run(ids):
        x = embed(p, torch.tensor(ids))
        at = torch.arange(len(ids))
        bias = -alibi_slopes(n_head)[:, None, None] * (at[None, :] - at[:, None]).abs()[None]
        for i in range(n_layer):
            b = 'blk.%d.' % i
            y = layer_norm(p, b + 'attn_output_norm', attention(p, b, x, n_head, bias) + x, 1e-12)
            if code:
                y = layer_norm(p, b + 'attn_norm_2', y + x, 1e-12)
            up = F.linear(y, p[b + 'ffn_up.weight'], p[b + 'ffn_up.bias'] if code else None)
            h = F.gelu(up) if code else F.gelu(up[:, :n_ff]) * up[:, n_ff:]
            x = layer_norm(p, b + 'layer_output_norm', F.linear(h, p[b + 'ffn_down.weight'], p[b + 'ffn_down.bias']) + y, 1e-12)
        return x.mean(0)

    _, tokens = wordpiece()
    w = open_writer(os.path.join(outdir, name + '.gguf'), 'jina-bert-v2', n_layer, n_embd, n_head, n_ff, n_ctx)
    write_wordpiece(w, tokens, 2)
    write_plain(w, p)
    close_writer(w)
    save(outdir, name, {'kind': 'embed', 'prompts': prompts(run, LENGTHS + ([] if code else [600]), 2, 3)})


def nomic_bert_moe(outdir):
    n_embd, n_head, n_ff, n_ctx, n_layer, n_expert = pick((24, 3, 40, 256, 2, 4), (96, 6, 200, 512, 4, 8))

    def per_layer(i):
        s = attention_shapes(n_embd)
        if i % 2 == 1:
            s['ffn_gate_inp.weight'] = (n_expert, n_embd)
            s['ffn_up_exps.weight'] = (n_expert, n_ff, n_embd)
            s['ffn_down_exps.weight'] = (n_expert, n_embd, n_ff)
        else:
            s['ffn_up.weight'] = (n_ff, n_embd)
            s['ffn_up.bias'] = (n_ff,)
            s['ffn_down.weight'] = (n_embd, n_ff)
            s['ffn_down.bias'] = (n_embd,)
        return s

    p = randomise(Plain(shapes_of(n_layer, n_embd, per_layer)), 10)

    def rotation(n):
        d = n_embd // n_head
        angle = torch.arange(n)[:, None] * (1000.0 ** (-torch.arange(0, d, 2).float() / d))[None]
        cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
        return lambda x: x * cos + torch.cat([-x[..., d // 2:], x[..., :d // 2]], -1) * sin

    def experts(b, x):
        weight, chosen = F.linear(x, p[b + 'ffn_gate_inp.weight']).softmax(-1).topk(2)
        out = torch.zeros_like(x)
        for row in range(x.shape[0]):
            for j in range(2):
                e = chosen[row, j]
                out[row] += weight[row, j] * F.linear(F.gelu(F.linear(x[row], p[b + 'ffn_up_exps.weight'][e])), p[b + 'ffn_down_exps.weight'][e])
        return out

    def run(ids):
        x = embed(p, torch.tensor(ids))
        for i in range(n_layer):
            b = 'blk.%d.' % i
            y = layer_norm(p, b + 'attn_output_norm', attention(p, b, x, n_head, rotate=rotation(len(ids))) + x, 1e-12)
            if i % 2 == 1:
                h = experts(b, y)
            else:
                h = F.linear(F.gelu(F.linear(y, p[b + 'ffn_up.weight'], p[b + 'ffn_up.bias'])), p[b + 'ffn_down.weight'], p[b + 'ffn_down.bias'])
            x = layer_norm(p, b + 'layer_output_norm', h + y, 1e-12)
        return x.mean(0)

    _, tokens = wordpiece()
    w = open_writer(os.path.join(outdir, 'nomic-bert-moe.gguf'), 'nomic-bert-moe', n_layer, n_embd, n_head, n_ff, n_ctx)
    w.add_rope_freq_base(1000.0)
    w.add_expert_count(n_expert)
    w.add_expert_used_count(2)
    w.add_uint32('nomic-bert-moe.moe_every_n_layers', 2)
    write_wordpiece(w, tokens, 2)
    write_plain(w, p)
    close_writer(w)
    save(outdir, 'nomic-bert-moe', {'kind': 'embed', 'prompts': prompts(run, LENGTHS, 2, 3)})


# ---- decoders that embed ----

def qwen3_embedder(outdir, causal):
    """Qwen3Model: the last token's vector; or, without the causal mask, the mean."""
    n_embd, n_head, n_ff, n_ctx = pick((24, 4, 40, 1024), (96, 6, 200, 1024))
    c = transformers.Qwen3Config(vocab_size=VOCAB, hidden_size=n_embd, num_hidden_layers=2, num_attention_heads=n_head,
                                 num_key_value_heads=2, head_dim=10, intermediate_size=n_ff, max_position_embeddings=n_ctx,
                                 attn_implementation='eager', rope_parameters={'rope_type': 'default', 'rope_theta': 1000000.0})
    m = randomise(transformers.Qwen3Model(c), 11)
    name = 'qwen3-last' if causal else 'qwen3-both'
    _, tokens = wordpiece()
    w = open_writer(os.path.join(outdir, name + '.gguf'), 'qwen3', 2, n_embd, n_head, n_ff, n_ctx, c.rms_norm_eps, 3 if causal else 1)
    if causal:
        del w.kv_data[0]['qwen3.attention.causal']
    w.add_head_count_kv(2)
    w.add_key_length(10)
    w.add_value_length(10)
    w.add_rope_freq_base(1000000.0)
    write_wordpiece(w, tokens, 1)
    tensor(w, 'token_embd.weight', m.embed_tokens.weight)
    norm_only(w, 'output_norm', m.norm.weight)
    for i, l in enumerate(m.layers):
        b = 'blk.%d.' % i
        norm_only(w, b + 'attn_norm', l.input_layernorm.weight)
        for g, h in (('q', 'q_proj'), ('k', 'k_proj'), ('v', 'v_proj'), ('output', 'o_proj')):
            linear(w, b + 'attn_' + g, getattr(l.self_attn, h))
        norm_only(w, b + 'attn_q_norm', l.self_attn.q_norm.weight)
        norm_only(w, b + 'attn_k_norm', l.self_attn.k_norm.weight)
        norm_only(w, b + 'ffn_norm', l.post_attention_layernorm.weight)
        for g in ('gate', 'up', 'down'):
            linear(w, b + 'ffn_' + g, getattr(l.mlp, g + '_proj'))
    close_writer(w)

    def run(ids):
        if causal:
            return m(torch.tensor([ids])).last_hidden_state[:, -1]
        return m(torch.tensor([ids]), attention_mask={'full_attention': torch.zeros(1, 1, len(ids), len(ids))}).last_hidden_state.mean(1)

    save(outdir, name, {'kind': 'embed', 'prompts': prompts(run, LENGTHS + ([600] if causal else []), 2, 3)})


def main():
    global LARGE
    parser = argparse.ArgumentParser()
    parser.add_argument('outdir')
    parser.add_argument('--large', action='store_true')
    a = parser.parse_args()
    LARGE = a.large
    os.makedirs(a.outdir, exist_ok=True)
    torch.set_num_threads(1)
    bert_cross_encoder(a.outdir)
    xlm_roberta(a.outdir)
    xlm_roberta_cross_encoder(a.outdir)
    nomic_bert(a.outdir)
    nomic_bert_moe(a.outdir)
    jina_bert_v2(a.outdir, 'jina-bert-v2', False)
    jina_bert_v2(a.outdir, 'jina-bert-v2-code', True)
    jina_bert_v3(a.outdir)
    modern_bert(a.outdir, False)
    modern_bert(a.outdir, True)
    euro_bert(a.outdir, 'eurobert')
    euro_bert(a.outdir, 'llama-embed')
    embedding_gemma(a.outdir)
    qwen3_embedder(a.outdir, True)
    qwen3_embedder(a.outdir, False)


main()
