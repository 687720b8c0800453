// Model, vocabulary, text.
#include "handles.hpp"

#include <algorithm>
#include <climits>
#include <memory>
#include <vector>

using shim::require;

namespace {

int32_t as_length(size_t length) {
    require(length <= INT32_MAX, "a length exceeds the library's 32-bit lengths");
    return static_cast<int32_t>(length);
}

const llama_model *loaded(const bitnet_shim_model *model) {
    require(model != nullptr && model->model != nullptr, "the model is null");
    return model->model;
}

void require_token(const llama_model *model, int32_t token) {
    require(token >= 0 && token < shim::n_vocab(model), "a token is not in the vocabulary");
}

} // namespace

extern "C" {

bitnet_shim_status bitnet_shim_model_open(const char *path,
                                          const bitnet_shim_model_options *options,
                                          bitnet_shim_model **model) {
    return shim::guarded([&] {
        require(path != nullptr, "path is null");
        require(model != nullptr, "model is null");
        shim::require_size(options);
        *model = nullptr;
        auto handle = std::make_unique<bitnet_shim_model>();
        auto params = llama_model_default_params();
        shim::configure_model(params, *options);
        handle->model = shim::load(path, params);
        if (handle->model == nullptr) throw shim::Failed("the model was not loaded");
        *model = handle.release();
        return BITNET_SHIM_OK;
    });
}

void bitnet_shim_model_free(bitnet_shim_model *model) {
    if (model == nullptr) return;
    shim::guarded([&] {
        const std::unique_ptr<bitnet_shim_model> handle(model);
        shim::free_model(handle->model);
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_model_describe(const bitnet_shim_model *model,
                                              bitnet_shim_model_facts *facts) {
    return shim::guarded([&] {
        const llama_model *m = loaded(model);
        shim::require_size(facts);
        facts->n_vocab = shim::n_vocab(m);
        facts->n_embd = shim::n_embd(m);
        facts->n_layer = shim::n_layer(m);
        // A model of which only the vocabulary was read has no layers; one generation aborts when
        // asked for the heads of its first one.
        facts->n_head = facts->n_layer > 0 ? shim::n_head(m) : -1;
        facts->n_ctx_train = shim::n_ctx_train(m);
        facts->bos = shim::bos(m);
        facts->eos = shim::eos(m);
        facts->eot = shim::eot(m);
        facts->nl = shim::nl(m);
        facts->pad = shim::pad(m);
        facts->add_bos = static_cast<int32_t>(shim::add_bos(m));
        facts->add_eos = static_cast<int32_t>(shim::add_eos(m));
        facts->n_params = llama_model_n_params(m);
        facts->n_bytes = llama_model_size(m);
        llama_model_desc(m, facts->description, sizeof facts->description);
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_token_describe(const bitnet_shim_model *model, int32_t token,
                                              bitnet_shim_token_facts *facts) {
    return shim::guarded([&] {
        const llama_model *m = loaded(model);
        shim::require_size(facts);
        require_token(m, token);
        facts->attributes = static_cast<int32_t>(shim::token_attr(m, token));
        facts->score = shim::token_score(m, token);
        facts->is_end_of_generation = shim::is_eog(m, token);
        facts->text = shim::token_text(m, token);
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_tokenize(const bitnet_shim_model *model, const char *text,
                                        size_t text_len, int32_t add_special,
                                        int32_t parse_special, int32_t *tokens, size_t capacity,
                                        size_t *needed) {
    return shim::guarded([&] {
        const llama_model *m = loaded(model);
        require(text != nullptr, "text is null");
        require(needed != nullptr, "needed is null");
        require(tokens != nullptr || capacity == 0, "tokens is null");
        const int32_t length = as_length(text_len);
        const int32_t room = static_cast<int32_t>(std::min<size_t>(capacity, INT32_MAX));
        const int32_t count = shim::tokenize(m, text, length, tokens, room, add_special != 0,
                                             parse_special != 0);
        if (count == INT32_MIN) throw shim::Failed("the text has too many tokens to count");
        if (!shim::fits(static_cast<size_t>(std::abs(count)), capacity, needed) || count < 0)
            return shim::say(BITNET_SHIM_TOO_SMALL, "there are more tokens than room");
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_detokenize(const bitnet_shim_model *model, const int32_t *tokens,
                                          size_t n_tokens, int32_t show_special, int32_t as_pieces,
                                          char *text, size_t capacity, size_t *needed) {
    return shim::guarded([&] {
        const llama_model *m = loaded(model);
        require(tokens != nullptr || n_tokens == 0, "tokens is null");
        require(needed != nullptr, "needed is null");
        require(text != nullptr || capacity == 0, "text is null");
        std::for_each(tokens, tokens + n_tokens, [&](int32_t t) { require_token(m, t); });
        std::string all;
        const auto append = [&](auto &&produce) {
            std::vector<char> part(64);
            int32_t length = produce(part.data(), static_cast<int32_t>(part.size()));
            if (length < 0) {
                part.resize(static_cast<size_t>(-static_cast<int64_t>(length)));
                length = produce(part.data(), static_cast<int32_t>(part.size()));
            }
            if (length < 0) throw shim::Failed("the library keeps asking for a longer buffer");
            all.append(part.data(), static_cast<size_t>(length));
        };
        if (as_pieces != 0) {
            for (size_t i = 0; i < n_tokens; ++i)
                append([&](char *at, int32_t room) {
                    return shim::piece(m, tokens[i], at, room, 0, show_special != 0);
                });
        } else {
            const int32_t count = as_length(n_tokens);
            append([&](char *at, int32_t room) {
                return shim::detokenize(m, tokens, count, at, room, false, show_special != 0);
            });
        }
        if (!shim::fits(all.size(), capacity, needed))
            return shim::say(BITNET_SHIM_TOO_SMALL, "the text is longer than the buffer");
        all.copy(text, all.size());
        return BITNET_SHIM_OK;
    });
}

} // extern "C"
