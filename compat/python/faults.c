/* A disk that fails as told, for a process that is started with this library in LD_PRELOAD.
 *
 * FAULT_RULES holds rules, one a line: CALL ERRNO FIRST COUNT PATH
 *   CALL   write (any), direct (through O_DIRECT), sync (fsync, fdatasync), open (to write), name (rename, unlink, mkdir)
 *   ERRNO  the number of the error
 *   FIRST  the first call that fails, counted from 1 among the calls of this kind and path
 *   COUNT  how many fail from there on; 0 for all
 *   PATH   a part of the file's path
 * The first failure of each rule is told on standard error.
 *
 * It sees what goes through the C library: the standard library of Rust does, for all that this server needs to be durable.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct rule {
    char call[16], path[64];
    int error;
    long first, count;
    atomic_long seen;
};

static struct rule rules[8];
static int rule_count;

__attribute__((constructor)) static void read_rules(void) {
    const char *text = getenv("FAULT_RULES");
    while (text && rule_count < 8) {
        struct rule *rule = &rules[rule_count];
        if (sscanf(text, "%15s %d %ld %ld %63s", rule->call, &rule->error, &rule->first, &rule->count, rule->path) == 5)
            rule_count++;
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
}

/* The error for this call, or 0. */
static int fails_at(const char *call, const char *path) {
    for (int i = 0; i < rule_count; i++) {
        struct rule *rule = &rules[i];
        if (strcmp(rule->call, call) != 0 || !strstr(path, rule->path))
            continue;
        long seen = atomic_fetch_add(&rule->seen, 1) + 1;
        if (seen < rule->first || (rule->count && seen >= rule->first + rule->count))
            continue;
        if (seen == rule->first)
            dprintf(2, "fault: %s number %ld of %s fails: %s\n", call, seen, path, strerror(rule->error));
        return rule->error;
    }
    return 0;
}

static int fails(const char *call, int file) {
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || path[0] != '/')
        return 0;
    path[length] = 0;
    return fails_at(call, path);
}

static int write_fails(int file) {
    int error = fcntl(file, F_GETFL) & O_DIRECT ? fails("direct", file) : 0;
    return error ? error : fails("write", file);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_IF(expression)          \
    do {                             \
        int failure = (expression);  \
        if (failure) {               \
            errno = failure;         \
            return -1;               \
        }                            \
    } while (0)

ssize_t write(int file, const void *bytes, size_t length) {
    FAIL_IF(rule_count && file > 2 ? write_fails(file) : 0);
    return REAL(write)(file, bytes, length);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    FAIL_IF(rule_count && file > 2 ? write_fails(file) : 0);
    return REAL(writev)(file, parts, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    FAIL_IF(write_fails(file));
    return REAL(pwrite64)(file, bytes, length, at);
}

int fsync(int file) {
    FAIL_IF(fails("sync", file));
    return REAL(fsync)(file);
}

int fdatasync(int file) {
    FAIL_IF(fails("sync", file));
    return REAL(fdatasync)(file);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    FAIL_IF((flags & O_ACCMODE) != O_RDONLY ? fails_at("open", path) : 0);
    return REAL(open64)(path, flags, mode);
}

int rename(const char *from, const char *to) {
    FAIL_IF(fails_at("name", to));
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    FAIL_IF(fails_at("name", path));
    return REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    FAIL_IF(fails_at("name", path));
    return REAL(mkdir)(path, mode);
}
