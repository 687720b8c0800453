// Single kernels of the library, and its file-to-file quantiser.
#include "generation.hpp"

#include <algorithm>
#include <climits>
#include <cstring>
#include <vector>

using shim::require;

// Exported by bitnet.cpp without a public header; null where the library has no such kernel.
extern "C" {
[[gnu::weak]] size_t quantize_i2_s(const float *values, void *bytes, int64_t rows, int64_t columns,
                                   const float *importance);
[[gnu::weak]] void quantize_row_i8_s(const float *values, void *bytes, int64_t n, float *scale,
                                     int32_t *sum);
[[gnu::weak]] void ggml_vec_dot_i2_i8_s(int n, float *result, size_t, const void *weights, size_t,
                                        const void *row, size_t, int rows);
}

namespace {

// Type ids of bitnet.cpp; another generation may use the numbers for something else.
constexpr int32_t I2_S = 36;
constexpr int32_t I8_S = 37;
constexpr size_t I2_S_BLOCK = 128;   // below it, elements are not packed at all
constexpr size_t I2_S_TRAILER = 32;  // the scale, and what pads it

bool packs_i2_s(int32_t type) { return type == I2_S && quantize_i2_s != nullptr; }
bool is_i8_s(int32_t type) { return type == I8_S && quantize_row_i8_s != nullptr; }
bool dots_i2_s(int32_t type) { return type == I2_S && ggml_vec_dot_i2_i8_s != nullptr; }

shim::Traits known(int32_t type) {
    require(type >= 0 && type < GGML_TYPE_COUNT, "there is no such type in this generation");
    const auto traits = shim::traits(static_cast<ggml_type>(type));
    require(traits.block_size > 0, "there is no such type in this generation");
    return traits;
}

[[noreturn]] void lacks(const shim::Traits &traits, const char *what) {
    throw shim::Unsupported(std::string("this generation has no ") + what + " for type " +
                            (traits.name ? traits.name : "without name"));
}

bool can_quantize(int32_t type, const shim::Traits &traits) {
    if (packs_i2_s(type)) return true;
    const auto t = static_cast<ggml_type>(type);
    if (t == GGML_TYPE_F32 || t == GGML_TYPE_F16 || t == GGML_TYPE_BF16) return true;
    return type != I2_S && traits.is_quantized && traits.to_float != nullptr &&
           !ggml_quantize_requires_imatrix(t);
}

// bitnet.cpp of 2026 fills I2_S's slot with a function of another signature.
bool can_dequantize(int32_t type, const shim::Traits &traits) {
    return type == GGML_TYPE_F32 || (type != I2_S && traits.to_float != nullptr);
}

void require_blocks(size_t n, const shim::Traits &traits) {
    require(n > 0 && n <= INT32_MAX, "the number of values is out of range");
    require(n % static_cast<size_t>(traits.block_size) == 0,
            "the number of values is not a multiple of the type's block");
}

size_t bytes_of(size_t n, int32_t type, const shim::Traits &traits) {
    if (type == I2_S && traits.block_size == 1) return n / 4;
    return n / static_cast<size_t>(traits.block_size) * traits.block_bytes;
}

} // namespace

extern "C" {

bitnet_shim_status bitnet_shim_type_describe(int32_t type, bitnet_shim_type_facts *facts) {
    return shim::guarded([&] {
        shim::require_size(facts);
        const auto traits = known(type);
        const bool dot = traits.dot != nullptr || dots_i2_s(type);
        facts->block_size = static_cast<int32_t>(traits.block_size);
        facts->block_bytes = static_cast<uint32_t>(traits.block_bytes);
        facts->dot_partner = dot ? static_cast<int32_t>(traits.dot_partner) : -1;
        facts->can_quantize = can_quantize(type, traits);
        facts->can_dequantize = can_dequantize(type, traits);
        facts->can_quantize_activation = traits.from_float != nullptr || is_i8_s(type);
        facts->can_dot = dot;
        std::memset(facts->name, 0, sizeof facts->name);
        if (traits.name) std::strncpy(facts->name, traits.name, sizeof facts->name - 1);
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_quantize(int32_t type, const float *values, size_t rows,
                                        size_t columns, const float *importance, uint8_t *bytes,
                                        size_t capacity, size_t *needed) {
    return shim::guarded([&] {
        const auto traits = known(type);
        require(values != nullptr && needed != nullptr, "a pointer is null");
        require(bytes != nullptr || capacity == 0, "bytes is null");
        require(rows > 0 && rows <= INT32_MAX / std::max<size_t>(columns, 1),
                "the matrix is empty or too large");
        require_blocks(columns, traits);
        if (!can_quantize(type, traits)) lacks(traits, "quantiser");
        const size_t n = rows * columns;
        if (packs_i2_s(type)) require(n % I2_S_BLOCK == 0, "I2_S packs 128 values at a time");
        const size_t length = packs_i2_s(type)
                                  ? n / 4 + I2_S_TRAILER
                                  : ggml_row_size(static_cast<ggml_type>(type), columns) * rows;
        if (!shim::fits(length, capacity, needed))
            return shim::say(BITNET_SHIM_TOO_SMALL, "the quantised matrix exceeds the buffer");
        std::memset(bytes, 0, length);
        const auto t = static_cast<ggml_type>(type);
        const auto r = static_cast<int64_t>(rows), c = static_cast<int64_t>(columns);
        if (packs_i2_s(type))
            quantize_i2_s(values, bytes, r, c, importance);
        else
            shim::quantize_chunk(t, values, bytes, r, c, importance);
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_dequantize(int32_t type, const uint8_t *bytes, size_t n_bytes,
                                          float *values, size_t n_values) {
    return shim::guarded([&] {
        const auto traits = known(type);
        require(bytes != nullptr && values != nullptr, "a pointer is null");
        require_blocks(n_values, traits);
        if (!can_dequantize(type, traits)) lacks(traits, "dequantiser");
        const size_t length = ggml_row_size(static_cast<ggml_type>(type), n_values);
        require(n_bytes == length, "the bytes are not as long as the values need");
        if (type == GGML_TYPE_F32)
            std::memcpy(values, bytes, n_bytes);
        else
            traits.to_float(bytes, values, static_cast<int64_t>(n_values));
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_quantize_activation(int32_t type, const float *values,
                                                   size_t n_values, uint8_t *bytes,
                                                   size_t capacity, size_t *needed, float *scale,
                                                   int32_t *sum) {
    return shim::guarded([&] {
        const auto traits = known(type);
        require(values != nullptr && needed != nullptr, "a pointer is null");
        require(scale != nullptr && sum != nullptr, "a pointer is null");
        require(bytes != nullptr || capacity == 0, "bytes is null");
        require_blocks(n_values, traits);
        if (!traits.from_float && !is_i8_s(type)) lacks(traits, "activation quantiser");
        const size_t length = ggml_row_size(static_cast<ggml_type>(type), n_values);
        if (!shim::fits(length, capacity, needed))
            return shim::say(BITNET_SHIM_TOO_SMALL, "the quantised row exceeds the buffer");
        *scale = 0;
        *sum = 0;
        const auto n = static_cast<int64_t>(n_values);
        if (is_i8_s(type))
            quantize_row_i8_s(values, bytes, n, scale, sum);
        else
            traits.from_float(values, bytes, n);
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_dot(int32_t type, size_t n_values, const uint8_t *weights,
                                   size_t n_weights, const uint8_t *row, size_t n_row,
                                   float *result) {
    return shim::guarded([&] {
        const auto traits = known(type);
        require(weights != nullptr && row != nullptr && result != nullptr, "a pointer is null");
        require_blocks(n_values, traits);
        if (!traits.dot && !dots_i2_s(type)) lacks(traits, "dot product");
        if (dots_i2_s(type))
            require(n_values % I2_S_BLOCK == 0, "I2_S is read 128 values at a time");
        const auto partner = static_cast<int32_t>(traits.dot_partner);
        require(n_weights >= bytes_of(n_values, type, traits), "the weights are too short");
        require(n_row >= bytes_of(n_values, partner, known(partner)), "the row is too short");
        const auto dot = dots_i2_s(type) ? ggml_vec_dot_i2_i8_s : traits.dot;
        *result = 0;
        dot(static_cast<int>(n_values), result, 0, weights, 0, row, 0, 1);
        return BITNET_SHIM_OK;
    });
}

bitnet_shim_status bitnet_shim_requantize(const char *from, const char *to,
                                          const bitnet_shim_requantize_options *options) {
    return shim::guarded([&] {
        require(from != nullptr && to != nullptr, "a path is null");
        shim::require_size(options);
        require(options->n_threads > 0, "n_threads must be at least 1");
        auto params = llama_model_quantize_default_params();
        params.nthread = options->n_threads;
        params.ftype = static_cast<llama_ftype>(options->file_type);
        params.allow_requantize = options->allow_requantize != 0;
        params.quantize_output_tensor = options->quantize_output != 0;
        params.only_copy = options->only_copy != 0;
        params.pure = options->pure != 0;
        const uint32_t code = llama_model_quantize(from, to, &params);
        if (code != 0) throw shim::Failed("llama_model_quantize answered " + std::to_string(code));
        return BITNET_SHIM_OK;
    });
}

} // extern "C"
