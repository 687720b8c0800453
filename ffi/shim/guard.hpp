// Turns exceptions and the library's log into a status and a sentence.
#pragma once

#include "bitnet_shim.h"

#include <exception>
#include <stdexcept>
#include <string>

namespace shim {

// Sets the sentence that bitnet_shim_last_message() answers and passes the status through.
bitnet_shim_status say(bitnet_shim_status status, std::string message) noexcept;

// Forgets the last message and what the library logged on this thread so far.
void begin_call() noexcept;

// The errors and warnings the library logged on this thread since begin_call().
std::string logged();

// Something this generation of the library does not have.
struct Unsupported : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Something the caller did that the header forbids.
struct Invalid : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The library refused; its log says why.
struct Failed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void require(bool holds, const char *rule) {
    if (!holds) throw Invalid(rule);
}

template <class Options> void require_size(const Options *options) {
    require(options != nullptr, "a structure pointer is null");
    require(options->size == sizeof(Options), "a structure has another size than this library's");
}

// Every exported function runs inside: nothing thrown passes it.
template <class Body> bitnet_shim_status guarded(Body &&body) noexcept {
    begin_call();
    try {
        return body();
    } catch (const Unsupported &e) {
        return say(BITNET_SHIM_UNSUPPORTED, e.what());
    } catch (const Invalid &e) {
        return say(BITNET_SHIM_INVALID, e.what());
    } catch (const Failed &e) {
        std::string log = logged();
        return say(BITNET_SHIM_FAILED, log.empty() ? e.what() : std::string(e.what()) + ": " + log);
    } catch (const std::exception &e) {
        return say(BITNET_SHIM_EXCEPTION, e.what());
    } catch (...) {
        return say(BITNET_SHIM_EXCEPTION, "something that is no std::exception was thrown");
    }
}

// Writes `needed`; says TOO_SMALL unless `capacity` suffices.
inline bool fits(size_t needed_now, size_t capacity, size_t *needed) {
    *needed = needed_now;
    return needed_now <= capacity;
}

} // namespace shim
