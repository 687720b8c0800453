// The one function of bcryptprimitives.dll that Rust's standard library calls, for a Wine that is
// older than that: random bytes, from where Windows had them before.
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *bytes, SIZE_T count) {
    return RtlGenRandom(bytes, (ULONG)count);
}
