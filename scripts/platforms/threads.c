// Debian's libc for WASI is older than threads; the standard library asks for them all the same.
// None can be started: the harness then does the work on the thread it has.
enum { TRY_AGAIN = 6 };

int pthread_attr_init(void *attributes) { return 0; }
int pthread_attr_setstacksize(void *attributes, unsigned long size) { return 0; }
int pthread_attr_destroy(void *attributes) { return 0; }
int pthread_create(void *thread, const void *attributes, void *(*start)(void *), void *argument) {
    return TRY_AGAIN;
}
