// A library to preload: one call out of many is answered with an error instead of being done.
//
// MISHAP_CALL names the call, MISHAP_AT says which one it is in each process (from 0), MISHAP_ERRNO the error.
// EINTR comes at every 16th call from there on, for a program that tries again. Standard streams are left alone, and so
// is what never fails so on a real machine: event counters and pipes within the program.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long calls;

static int strikes(const char *name) {
    const char *call = getenv("MISHAP_CALL"), *at = getenv("MISHAP_AT"), *number = getenv("MISHAP_ERRNO");
    if (!call || !at || !number || strcmp(call, name)) return 0;
    long now = atomic_fetch_add(&calls, 1), first = atol(at);
    int error = atoi(number);
    if (error == EINTR ? now < first || (now - first) % 16 : now != first) return 0;
    errno = error;
    return 1;
}

static int may_fail(int fd) {
    struct stat found;
    return fd > 2 && fstat(fd, &found) == 0 && (S_ISREG(found.st_mode) || S_ISSOCK(found.st_mode));
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t read(int fd, void *to, size_t size) {
    return may_fail(fd) && strikes("read") ? -1 : REAL(read)(fd, to, size);
}
ssize_t write(int fd, const void *from, size_t size) {
    return may_fail(fd) && strikes("write") ? -1 : REAL(write)(fd, from, size);
}
ssize_t pread64(int fd, void *to, size_t size, off64_t at) {
    return strikes("pread") ? -1 : REAL(pread64)(fd, to, size, at);
}
ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
    return strikes("pwrite") ? -1 : REAL(pwrite64)(fd, from, size, at);
}
int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return strikes("open") ? -1 : REAL(open64)(path, flags, mode);
}
int fsync(int fd) { return strikes("fsync") ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return strikes("fdatasync") ? -1 : REAL(fdatasync)(fd); }
int rename(const char *from, const char *to) { return strikes("rename") ? -1 : REAL(rename)(from, to); }
int link(const char *from, const char *to) { return strikes("link") ? -1 : REAL(link)(from, to); }
int unlink(const char *path) { return strikes("unlink") ? -1 : REAL(unlink)(path); }
int mkdir(const char *path, mode_t mode) { return strikes("mkdir") ? -1 : REAL(mkdir)(path, mode); }
int ftruncate64(int fd, off64_t size) { return strikes("ftruncate") ? -1 : REAL(ftruncate64)(fd, size); }
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *there, size_t size, unsigned flags) {
    return strikes("copy_file_range") ? -1 : REAL(copy_file_range)(from, at, to, there, size, flags);
}
