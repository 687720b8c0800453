// The eval callback: every step of the graph, in order, with its values if they are wanted.
#include "handles.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace {

// The values of `tensor`, densely, first dimension fastest; empty where its type is no number.
std::vector<float> dense_values(const ggml_tensor *tensor) {
    std::vector<float> values;
    const auto traits = shim::traits(tensor->type);
    const bool is_f32 = tensor->type == GGML_TYPE_F32;
    const bool is_block = traits.block_size > 1;
    if (!is_f32 && traits.to_float == nullptr) return values;
    if (is_block && tensor->nb[0] != traits.block_bytes) return values;
    const size_t columns = static_cast<size_t>(tensor->ne[0]);
    values.resize(static_cast<size_t>(ggml_nelements(tensor)));
    float *out = values.data();
    for (int64_t i3 = 0; i3 < tensor->ne[3]; ++i3)
        for (int64_t i2 = 0; i2 < tensor->ne[2]; ++i2)
            for (int64_t i1 = 0; i1 < tensor->ne[1]; ++i1, out += columns) {
                const char *row = static_cast<const char *>(tensor->data) + i1 * tensor->nb[1] +
                                  i2 * tensor->nb[2] + i3 * tensor->nb[3];
                if (is_block) {
                    traits.to_float(row, out, tensor->ne[0]);
                    continue;
                }
                for (size_t i0 = 0; i0 < columns; ++i0) {
                    if (is_f32)
                        std::memcpy(out + i0, row + i0 * tensor->nb[0], sizeof(float));
                    else
                        traits.to_float(row + i0 * tensor->nb[0], out + i0, 1);
                }
            }
    return values;
}

void store_values(ggml_tensor *tensor, const std::vector<float> &values) {
    if (tensor->type != GGML_TYPE_F32 || !ggml_is_contiguous(tensor))
        throw shim::Invalid("only contiguous F32 nodes can be replaced");
    std::memcpy(tensor->data, values.data(), values.size() * sizeof(float));
}

void describe(bitnet_shim_session &session, const ggml_tensor *tensor) {
    auto &trace = session.trace;
    bitnet_shim_node node = {};
    node.name = ggml_get_name(tensor);
    node.op = ggml_op_name(tensor->op);
    node.type_name = ggml_type_name(tensor->type);
    node.type = tensor->type;
    node.index = trace.asked++;
    node.occurrence = trace.seen[std::string(node.name) + "|" + node.op]++;
    node.contiguous = ggml_is_contiguous(tensor);
    node.asking = 1;
    std::copy(tensor->ne, tensor->ne + 4, node.ne);
    std::copy(tensor->nb, tensor->nb + 4, node.nb);
    const uint32_t most = std::min<uint32_t>(GGML_MAX_SRC, BITNET_SHIM_MAX_SOURCES);
    for (uint32_t i = 0; i < most && tensor->src[i] != nullptr; ++i) {
        const ggml_tensor *source = tensor->src[i];
        const auto made = trace.index_of.find(source);
        node.sources[node.n_sources++] = {ggml_get_name(source), ggml_op_name(source->op),
                                          made == trace.index_of.end() ? -1 : made->second};
    }
    trace.index_of[tensor] = static_cast<int32_t>(node.index);
    trace.current = node;
}

// True: as an answer to the question, wanted; as an answer to the values, go on.
bool observe(ggml_tensor *tensor, bool ask, bitnet_shim_session &session) {
    auto &trace = session.trace;
    if (trace.stopped) return ask;
    if (ask) {
        describe(session, tensor);
        const int32_t answer = session.options.on_node(session.options.user, &trace.current);
        trace.stopped = answer == BITNET_SHIM_STOP;
        return answer != BITNET_SHIM_SKIP;
    }
    std::vector<float> values = dense_values(tensor);
    bitnet_shim_node node = trace.current;
    node.asking = 0;
    node.values = values.empty() ? nullptr : values.data();
    node.n_values = values.size();
    const int32_t answer = session.options.on_node(session.options.user, &node);
    if (answer == BITNET_SHIM_REPLACE) store_values(tensor, values);
    trace.stopped = answer == BITNET_SHIM_STOP;
    return !trace.stopped;
}

// The callback's result is a bool in most generations and an int in one.
template <class Callback> struct Adapter;
template <class Result> struct Adapter<Result (*)(ggml_tensor *, bool, void *)> {
    static Result call(ggml_tensor *tensor, bool ask, void *user) {
        auto &session = *static_cast<bitnet_shim_session *>(user);
        try {
            return observe(tensor, ask, session) ? 1 : 0;
        } catch (...) {
            session.trace.thrown = std::current_exception();
            session.trace.stopped = true;
            return ask ? 1 : 0;
        }
    }
};

} // namespace

namespace shim {

void install_callback(llama_context_params &params, bitnet_shim_session *session) {
    params.cb_eval = &Adapter<ggml_backend_sched_eval_callback>::call;
    params.cb_eval_user_data = session;
}

} // namespace shim
