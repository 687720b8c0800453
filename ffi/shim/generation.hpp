// Where the generations of the library differ, the compiler asks the headers at hand.
//
// Each function below is a template over a library type, so that a name which this generation
// does not declare is looked up only when the `requires` in front of it found it.
#pragma once

#include "ggml-backend.h"
#include "ggml.h"
#include "llama.h"

#if __has_include("ggml-cpu.h")
#include "ggml-cpu.h"
#endif

#include "guard.hpp"

namespace shim {

// The vocabulary was a part of the model before it became an object of its own.
template <class Model> auto vocabulary(const Model *model) {
    if constexpr (requires { llama_model_get_vocab(model); })
        return llama_model_get_vocab(model);
    else
        return model;
}

// A question about the vocabulary: by its present name, else by its former one.
#define SHIM_VOCABULARY(name, present, former)                                                     \
    template <class Model, class... Rest> auto name(const Model *model, Rest... rest) {            \
        if constexpr (requires { present(vocabulary(model), rest...); })                           \
            return present(vocabulary(model), rest...);                                            \
        else                                                                                       \
            return former(model, rest...);                                                         \
    }
SHIM_VOCABULARY(n_vocab, llama_vocab_n_tokens, llama_n_vocab)
SHIM_VOCABULARY(bos, llama_vocab_bos, llama_token_bos)
SHIM_VOCABULARY(eos, llama_vocab_eos, llama_token_eos)
SHIM_VOCABULARY(eot, llama_vocab_eot, llama_token_eot)
SHIM_VOCABULARY(nl, llama_vocab_nl, llama_token_nl)
SHIM_VOCABULARY(pad, llama_vocab_pad, llama_token_pad)
SHIM_VOCABULARY(add_bos, llama_vocab_get_add_bos, llama_add_bos_token)
SHIM_VOCABULARY(add_eos, llama_vocab_get_add_eos, llama_add_eos_token)
SHIM_VOCABULARY(token_text, llama_vocab_get_text, llama_token_get_text)
SHIM_VOCABULARY(token_score, llama_vocab_get_score, llama_token_get_score)
SHIM_VOCABULARY(token_attr, llama_vocab_get_attr, llama_token_get_attr)
SHIM_VOCABULARY(is_eog, llama_vocab_is_eog, llama_token_is_eog)
SHIM_VOCABULARY(tokenize, llama_tokenize, llama_tokenize)
SHIM_VOCABULARY(piece, llama_token_to_piece, llama_token_to_piece)
SHIM_VOCABULARY(detokenize, llama_detokenize, llama_detokenize)
#undef SHIM_VOCABULARY

// A number of the model: by its present name, else by its former one, else unknown.
#define SHIM_MODEL(name, present, former)                                                          \
    template <class Model> int32_t name(const Model *model) {                                      \
        if constexpr (requires { present(model); })                                                \
            return present(model);                                                                 \
        else if constexpr (requires { former(model); })                                            \
            return former(model);                                                                  \
        else                                                                                       \
            return -1;                                                                             \
    }
SHIM_MODEL(n_embd, llama_model_n_embd, llama_n_embd)
SHIM_MODEL(n_layer, llama_model_n_layer, llama_n_layer)
SHIM_MODEL(n_head, llama_model_n_head, llama_n_head)
SHIM_MODEL(n_ctx_train, llama_model_n_ctx_train, llama_n_ctx_train)
#undef SHIM_MODEL

template <class Params> auto load(const char *path, Params params) {
    if constexpr (requires { llama_model_load_from_file(path, params); })
        return llama_model_load_from_file(path, params);
    else
        return llama_load_model_from_file(path, params);
}

template <class Model> void free_model(Model *model) {
    if constexpr (requires { llama_model_free(model); })
        llama_model_free(model);
    else
        llama_free_model(model);
}

template <class Model, class Params> auto new_context(Model *model, Params params) {
    if constexpr (requires { llama_init_from_model(model, params); })
        return llama_init_from_model(model, params);
    else
        return llama_new_context_with_model(model, params);
}

template <class Context> void clear_cache(Context *context) {
    if constexpr (requires { llama_memory_clear(llama_get_memory(context), true); })
        llama_memory_clear(llama_get_memory(context), true);
    else
        llama_kv_cache_clear(context);
}

// Every position of the one sequence there is, from `first` on.
template <class Context> bool remove_from(Context *context, int32_t first) {
    if constexpr (requires { llama_memory_seq_rm(llama_get_memory(context), 0, first, -1); })
        return llama_memory_seq_rm(llama_get_memory(context), 0, first, -1);
    else
        return llama_kv_cache_seq_rm(context, 0, first, -1);
}

// A GPU that happens to be in the machine must not take part, and weights stay as stored.
template <class Params> void configure_model(Params &params, const bitnet_shim_model_options &o) {
    params.n_gpu_layers = 0;
    params.vocab_only = o.vocab_only != 0;
    params.check_tensors = o.check_tensors != 0;
    if constexpr (requires { params.use_mmap; }) params.use_mmap = o.use_mmap != 0;
    if constexpr (requires { params.load_mode; })
        params.load_mode = o.use_mmap ? decltype(params.load_mode)::LLAMA_LOAD_MODE_MMAP
                                      : decltype(params.load_mode)::LLAMA_LOAD_MODE_NONE;
    if constexpr (requires { params.use_extra_bufts; }) params.use_extra_bufts = o.repack != 0;
    if constexpr (requires { params.repack_tensors; }) params.repack_tensors = o.repack != 0;
    if constexpr (requires { params.flash_attn; }) params.flash_attn = false;
}

template <class Params>
void configure_session(Params &params, const bitnet_shim_session_options &o) {
    params.n_ctx = o.n_ctx;
    params.n_batch = o.n_batch;
    params.n_ubatch = o.n_ubatch;
    params.n_threads = o.n_threads;
    params.n_threads_batch = o.n_threads;
    if constexpr (requires { params.offload_kqv; }) params.offload_kqv = false;
    if constexpr (requires { params.flash_attn; }) params.flash_attn = o.flash_attention != 0;
    if constexpr (requires { params.flash_attn_type; })
        params.flash_attn_type =
            o.flash_attention ? decltype(params.flash_attn_type)::LLAMA_FLASH_ATTN_TYPE_ENABLED
                              : decltype(params.flash_attn_type)::LLAMA_FLASH_ATTN_TYPE_DISABLED;
}

// Type traits: one table, a table by value, or one table per backend.
struct Traits {
    const char *name;
    int64_t block_size;
    size_t block_bytes;
    ggml_to_float_t to_float;
    ggml_from_float_t from_float;
    ggml_vec_dot_t dot;
    ggml_type dot_partner;
    bool is_quantized;
};

template <class Type> Traits traits(Type type) {
    const auto whole = [&] {
        if constexpr (requires { ggml_internal_get_type_traits(type); })
            return ggml_internal_get_type_traits(type);
        else
            return *ggml_get_type_traits(type);
    }();
    const auto computing = [&] {
        if constexpr (requires { ggml_get_type_traits_cpu(type); })
            return *ggml_get_type_traits_cpu(type);
        else
            return whole;
    }();
    return {whole.type_name,      whole.blck_size, whole.type_size,        whole.to_float,
            computing.from_float, computing.vec_dot, computing.vec_dot_type, whole.is_quantized};
}

template <class Type>
size_t quantize_chunk(Type type, const float *values, void *bytes, int64_t rows, int64_t columns,
                      const float *importance) {
    if constexpr (requires {
                      ggml_quantize_chunk(type, values, bytes, 0, rows, columns, importance,
                                          nullptr);
                  })
        return ggml_quantize_chunk(type, values, bytes, 0, rows, columns, importance, nullptr);
    else
        return ggml_quantize_chunk(type, values, bytes, 0, rows, columns, importance);
}

} // namespace shim
