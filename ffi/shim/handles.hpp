// What the opaque handles are.
#pragma once

#include "generation.hpp"

#include <exception>
#include <string>
#include <unordered_map>

struct bitnet_shim_model {
    llama_model *model = nullptr;
};

struct bitnet_shim_session {
    const bitnet_shim_model *model = nullptr;
    llama_context *context = nullptr;
    bitnet_shim_session_options options = {};

    // What the eval callback remembers during one decode.
    struct Trace {
        uint32_t asked = 0;
        bool stopped = false;
        std::exception_ptr thrown;
        std::unordered_map<std::string, uint32_t> seen;
        std::unordered_map<const ggml_tensor *, int32_t> index_of;
        bitnet_shim_node current = {};
    } trace;
};

namespace shim {

// The eval callback this generation wants; `session` is its user data.
void install_callback(llama_context_params &params, bitnet_shim_session *session);

} // namespace shim
