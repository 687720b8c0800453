// Debian's unwinder asks for a function that glibc has and musl has not: where the tables lie that
// tell how to unwind the code at an address. musl lists what is loaded; one of that holds it.
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>

// That unwinder calls these where they happen to be there, and takes one of them for all: without a
// word here the linker leaves most out, and the first panic calls address 0.
void *const needed_by_the_unwinder[] = {
    (void *)pthread_once,        (void *)pthread_mutex_lock,   (void *)pthread_mutex_unlock,
    (void *)pthread_key_create,  (void *)pthread_getspecific,  (void *)pthread_setspecific,
};

// As glibc lays it out on x86-64.
struct dl_find_object {
    unsigned long long flags;
    void *start, *end, *link_map, *tables;
    unsigned long long reserved[7];
};

struct search {
    ElfW(Addr) address;
    struct dl_find_object *found;
};

static int holds(struct dl_phdr_info *object, size_t size, void *argument) {
    struct search *search = argument;
    const ElfW(Phdr) *tables = 0;
    ElfW(Addr) start = 0, end = 0;
    for (const ElfW(Phdr) *part = object->dlpi_phdr;
         part < object->dlpi_phdr + object->dlpi_phnum; part++) {
        ElfW(Addr) at = object->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_GNU_EH_FRAME)
            tables = part;
        if (part->p_type == PT_LOAD && search->address - at < part->p_memsz)
            start = at, end = at + part->p_memsz;
    }
    if (!tables || !end)
        return 0;
    search->found->start = (void *)start;
    search->found->end = (void *)end;
    search->found->tables = (void *)(object->dlpi_addr + tables->p_vaddr);
    return 1;
}

int _dl_find_object(void *address, struct dl_find_object *found) {
    struct search search = {(ElfW(Addr))address, found};
    return dl_iterate_phdr(holds, &search) ? 0 : -1;
}
