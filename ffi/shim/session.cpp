// A context of the library: feed tokens, take logits.
#include "handles.hpp"

#include <algorithm>
#include <climits>
#include <memory>

using shim::require;

// Only their presence is asked for. ik_llama.cpp can be built without the second, and calls it all
// the same, which ends the process.
extern "C" {
[[gnu::weak]] void iqk_mul_mat();
[[gnu::weak]] void iqk_flash_attn_noalibi();
}

namespace {

bool lacks_flash_attention() {
    return iqk_mul_mat != nullptr && iqk_flash_attn_noalibi == nullptr;
}

llama_context *opened(bitnet_shim_session *session) {
    require(session != nullptr && session->context != nullptr, "the session is null");
    return session->context;
}

// A batch that is freed however the call ends.
struct Batch {
    llama_batch batch;
    explicit Batch(int32_t n) : batch(llama_batch_init(n, 0, 1)) {
        if (batch.token == nullptr) throw std::bad_alloc();
    }
    ~Batch() { llama_batch_free(batch); }
    Batch(const Batch &) = delete;
    Batch &operator=(const Batch &) = delete;
};

void check_decode(bitnet_shim_session *session, const int32_t *tokens, size_t n_tokens,
                  int32_t first, const uint8_t *wanted, const float *logits, size_t n_logits) {
    llama_context *context = opened(session);
    require(tokens != nullptr && wanted != nullptr && logits != nullptr, "a buffer is null");
    require(n_tokens > 0, "there is no token");
    require(n_tokens <= llama_n_batch(context), "there are more tokens than n_batch");
    require(first >= 0, "the first position is negative");
    require(static_cast<size_t>(first) + n_tokens <= llama_n_ctx(context),
            "the last position lies behind the context");
    const int32_t n_vocab = shim::n_vocab(session->model->model);
    for (size_t i = 0; i < n_tokens; ++i)
        require(tokens[i] >= 0 && tokens[i] < n_vocab, "a token is not in the vocabulary");
    const size_t rows = n_tokens - static_cast<size_t>(std::count(wanted, wanted + n_tokens, 0));
    require(rows > 0, "no position's logits are wanted");
    require(n_logits == rows * static_cast<size_t>(n_vocab),
            "the logits buffer is not as long as the wanted rows");
}

bitnet_shim_status run(bitnet_shim_session *session, const llama_batch &batch) {
    auto &trace = session->trace;
    trace = {};
    const int32_t code = llama_decode(session->context, batch);
    if (trace.thrown) std::rethrow_exception(trace.thrown);
    if (trace.stopped) return shim::say(BITNET_SHIM_STOPPED, "the node callback asked to stop");
    if (code != 0) throw shim::Failed("llama_decode answered " + std::to_string(code));
    return BITNET_SHIM_OK;
}

} // namespace

extern "C" {

bitnet_shim_status bitnet_shim_session_open(const bitnet_shim_model *model,
                                            const bitnet_shim_session_options *options,
                                            bitnet_shim_session **session) {
    return shim::guarded([&] {
        require(model != nullptr && model->model != nullptr, "the model is null");
        require(session != nullptr, "session is null");
        shim::require_size(options);
        require(options->n_ctx > 0 && options->n_ctx <= INT32_MAX, "n_ctx is out of range");
        require(options->n_batch > 0 && options->n_ubatch > 0, "a batch size is 0");
        require(options->n_threads > 0 && options->n_threads <= 512, "n_threads is out of range");
        if (options->flash_attention != 0 && lacks_flash_attention())
            throw shim::Unsupported("this library was built without flash attention");
        *session = nullptr;
        auto handle = std::make_unique<bitnet_shim_session>();
        handle->model = model;
        handle->options = *options;
        auto params = llama_context_default_params();
        shim::configure_session(params, *options);
        if (options->on_node != nullptr) shim::install_callback(params, handle.get());
        handle->context = shim::new_context(model->model, params);
        if (handle->context == nullptr) throw shim::Failed("the context was not created");
        *session = handle.release();
        return BITNET_SHIM_OK;
    });
}

void bitnet_shim_session_free(bitnet_shim_session *session) {
    if (session == nullptr) return;
    shim::guarded([&] {
        const std::unique_ptr<bitnet_shim_session> handle(session);
        llama_free(handle->context);
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_session_clear(bitnet_shim_session *session) {
    return shim::guarded([&] {
        shim::clear_cache(opened(session));
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_session_truncate(bitnet_shim_session *session, int32_t length) {
    return shim::guarded([&] {
        llama_context *context = opened(session);
        require(length >= 0, "the length is negative");
        if (!shim::remove_from(context, length))
            throw shim::Failed("the cache cannot forget a part of a sequence");
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_decode(bitnet_shim_session *session, const int32_t *tokens,
                                      size_t n_tokens, int32_t first, const uint8_t *wanted,
                                      float *logits, size_t n_logits) {
    return shim::guarded([&] {
        check_decode(session, tokens, n_tokens, first, wanted, logits, n_logits);
        const int32_t count = static_cast<int32_t>(n_tokens);
        Batch held(count);
        llama_batch &batch = held.batch;
        batch.n_tokens = count;
        for (int32_t i = 0; i < count; ++i) {
            batch.token[i] = tokens[i];
            batch.pos[i] = first + i;
            batch.n_seq_id[i] = 1;
            batch.seq_id[i][0] = 0;
            batch.logits[i] = wanted[i] != 0;
        }
        const bitnet_shim_status status = run(session, batch);
        if (status != BITNET_SHIM_OK) return status;
        const size_t n_vocab = static_cast<size_t>(shim::n_vocab(session->model->model));
        for (int32_t i = 0; i < count; ++i) {
            if (wanted[i] == 0) continue;
            const float *row = llama_get_logits_ith(session->context, i);
            if (row == nullptr) throw shim::Failed("a wanted row has no logits");
            logits = std::copy(row, row + n_vocab, logits);
        }
        return BITNET_SHIM_OK;
    });
}

} // extern "C"
