/* A library that tries what no library has to try. HOSTILE names the act, VICTIM a file of the
 * user's; what came of it is its name. Compiled with -DALONE it is a program that nothing confines,
 * to show that each act can succeed. */
#define _GNU_SOURCE
#include "subject.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *victim;
static char beside[4096];

static int opened(const char *path, int flags) {
    int file = open(path, flags, 0600);
    return file < 0 ? -1 : close(file);
}

static const char *of_parent(const char *what) {
    static char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)getppid(), what);
    return path;
}

/* Some files below /proc open for everyone, and are then empty. */
static int environment_of_parent(void) {
    char byte;
    int file = open(of_parent("environ"), O_RDONLY);
    if (file < 0) return -1;
    errno = EACCES;
    ssize_t length = read(file, &byte, 1);
    close(file);
    return length == 1 ? 0 : -1;
}

static int forked(void) {
    pid_t child = fork();
    if (!child) _exit(0);
    return child < 0 ? -1 : waitpid(child, NULL, 0) < 0 ? -1 : 0;
}

static void *idle(void *nothing) { return nothing; }

static int threaded(void) {
    pthread_t thread;
    errno = pthread_create(&thread, NULL, idle, NULL);
    return errno ? -1 : pthread_join(thread, NULL);
}

/* Descriptors beside the standard three, the channel and the one that lists them. */
static int strange_descriptors(void) {
    DIR *all = opendir("/proc/self/fd");
    struct stat about;
    int strange = 0;
    for (struct dirent *one; (one = readdir(all));) {
        int number = atoi(one->d_name);
        if (number < 3 || number == dirfd(all)) continue;
        strange += !fstat(number, &about) && !S_ISSOCK(about.st_mode);
    }
    closedir(all);
    errno = EBADF;
    return strange ? 0 : -1;
}

static int raised_limit(void) {
    struct rlimit more = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_CORE, &more);
}

static int mapped(void) {
    int file = open(victim, O_RDWR);
    if (file < 0) return -1;
    char *bytes = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (bytes == MAP_FAILED) return -1;
    bytes[0] = bytes[0];
    return munmap(bytes, 1);
}

static int act(const char *name) {
    struct timeval times[2] = {{0}};
#define ACT(word, call) if (!strcmp(name, word)) return (call)
    ACT("nothing", 0);
    ACT("read a file", opened(victim, O_RDONLY));
    ACT("start a thread", threaded());
    ACT("abort", (abort(), 0));
    ACT("open a TCP socket", socket(AF_INET, SOCK_STREAM, 0));
    ACT("open a UDP socket", socket(AF_INET6, SOCK_DGRAM, 0));
    ACT("open a UNIX socket", socket(AF_UNIX, SOCK_STREAM, 0));
    ACT("open a raw netlink socket", socket(AF_NETLINK, SOCK_RAW, 0));
    ACT("set up io_uring", syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == EFAULT ? 0 : -1);
    ACT("create a file", opened(beside, O_WRONLY | O_CREAT));
    ACT("write a file", opened(victim, O_WRONLY));
    ACT("truncate a file", truncate(victim, 3));
    ACT("write a file through memory", mapped());
    ACT("remove a file", unlink(victim));
    ACT("rename a file", rename(victim, beside));
    ACT("link to a file", symlink(victim, beside));
    ACT("make a folder", mkdir(beside, 0700));
    ACT("change a file's mode", chmod(victim, 0600));
    ACT("change a file's time", utimes(victim, times));
    ACT("make shared memory", opened("/dev/shm/hostile", O_RDWR | O_CREAT));
    ACT("fork", forked());
    ACT("execute", execl("/bin/true", "true", NULL));
    ACT("signal the parent", kill(getppid(), 0));
    ACT("signal everything", kill(-1, 0));
    ACT("write the parent's memory", opened(of_parent("mem"), O_RDWR));
    ACT("read the parent's environment", environment_of_parent());
    ACT("look at the parent's descriptors", readlink(of_parent("fd/0"), beside, 9) < 0 ? -1 : 0);
    ACT("limit the parent", prlimit(getppid(), RLIMIT_CORE, NULL, &(struct rlimit){0, 0}));
    ACT("lift a limit", raised_limit());
    ACT("outlive the parent", prctl(PR_SET_PDEATHSIG, 0));
    ACT("use an inherited descriptor", strange_descriptors());
    errno = ENOSYS;
    return -1;
}

const char *subject_identity(void) {
    static char said[256];
    victim = getenv("VICTIM");
    snprintf(beside, sizeof beside, "%s.new", victim);
    const char *how = act(getenv("HOSTILE")) < 0 ? strerrorname_np(errno) : "done";
    snprintf(said, sizeof said, "%s", how);
    return said;
}

#ifdef ALONE
int main(void) {
    puts(subject_identity());
    return 0;
}
#endif

void *subject_open(const char *model, int32_t context, int32_t ubatch, int32_t threads) {
    (void)model, (void)context, (void)ubatch, (void)threads;
    return NULL;
}

int32_t subject_feed(void *session, const int32_t *tokens, int32_t count, int32_t last_only) {
    (void)session, (void)tokens, (void)count, (void)last_only;
    return 1;
}

void subject_watch(void *session, subject_node look, void *data) {
    (void)session, (void)look, (void)data;
}

const float *subject_logits(void *session, int32_t *rows, int32_t *vocab) {
    (void)session, (void)rows, (void)vocab;
    return NULL;
}

void subject_free(void *session) { (void)session; }
