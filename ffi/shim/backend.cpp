// Start, log, last message, identity.
#include "generation.hpp"

#include <dlfcn.h>

#include <mutex>

namespace {

thread_local std::string last_message;
thread_local std::string log_of_this_call;

std::mutex log_lock;
bitnet_shim_log log_callback = nullptr;
void *log_user = nullptr;

constexpr size_t LOG_KEPT = 4096;

void on_log(ggml_log_level level, const char *text, void *) {
    try {
        const bool grave = level == GGML_LOG_LEVEL_WARN || level == GGML_LOG_LEVEL_ERROR;
        if (grave && log_of_this_call.size() < LOG_KEPT) log_of_this_call += text;
        const std::lock_guard<std::mutex> hold(log_lock);
        if (log_callback) log_callback(log_user, static_cast<int32_t>(level), text);
    } catch (...) {
        // A log line that finds no memory is lost; the call that logs it goes on.
    }
}

std::string library_of(const void *function) {
    Dl_info info;
    if (dladdr(function, &info) == 0 || info.dli_fname == nullptr) return "";
    return info.dli_fname;
}

template <class Model> constexpr const char *api() {
    if constexpr (requires(Model *m) { llama_model_get_vocab(m); llama_model_free(m); })
        return "llama.cpp with llama_vocab and llama_memory";
    else if constexpr (requires(Model *m) { llama_model_get_vocab(m); })
        return "ik_llama.cpp, between the generations";
    else
        return "llama.cpp of October 2024";
}

void line(std::string &text, const char *key, const std::string &value) {
    text += std::string(key) + "=" + value + "\n";
}

void line(std::string &text, const char *key, size_t value) {
    line(text, key, std::to_string(value));
}

} // namespace

namespace shim {

bitnet_shim_status say(bitnet_shim_status status, std::string message) noexcept {
    last_message.swap(message);
    return status;
}

void begin_call() noexcept {
    last_message.clear();
    log_of_this_call.clear();
}

std::string logged() {
    std::string text = log_of_this_call;
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    for (char &c : text)
        if (c == '\n') c = ' ';
    return text;
}

} // namespace shim

extern "C" {

uint32_t bitnet_shim_abi(void) { return BITNET_SHIM_ABI; }

const char *bitnet_shim_last_message(void) { return last_message.c_str(); }

bitnet_shim_status bitnet_shim_init(bitnet_shim_log log, void *user) {
    return shim::guarded([&] {
        {
            const std::lock_guard<std::mutex> hold(log_lock);
            log_callback = log;
            log_user = user;
        }
        static std::once_flag once;
        std::call_once(once, [] {
            llama_log_set(on_log, nullptr);
            llama_backend_init();
        });
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_identity(char *text, size_t capacity, size_t *needed) {
    return shim::guarded([&] {
        shim::require(needed != nullptr, "needed is null");
        shim::require(text != nullptr || capacity == 0, "text is null");
        std::string all;
        line(all, "api", api<llama_model>());
        line(all, "system_info", llama_print_system_info());
        line(all, "libllama", library_of(reinterpret_cast<const void *>(&llama_decode)));
        line(all, "libggml", library_of(reinterpret_cast<const void *>(&ggml_nbytes)));
        line(all, "shim_compiler", __VERSION__);
        line(all, "sizeof_model_params", sizeof(llama_model_params));
        line(all, "sizeof_context_params", sizeof(llama_context_params));
        line(all, "sizeof_batch", sizeof(llama_batch));
        line(all, "sizeof_tensor", sizeof(ggml_tensor));
        line(all, "type_count", static_cast<size_t>(GGML_TYPE_COUNT));
        if (!shim::fits(all.size(), capacity, needed))
            return shim::say(BITNET_SHIM_TOO_SMALL, "the identity is longer than the buffer");
        all.copy(text, all.size());
        return BITNET_SHIM_OK;
    });
}

} // extern "C"
