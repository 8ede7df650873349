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
 * FAULT_DISK holds BYTES PATH: the directory is a disk of so many bytes. What its files take is looked up whenever one would grow;
 * what finds no space gets ENOSPC, and who asks is told how much is free.
 *
 * It sees what goes through the C library: all that this server asks of a disk does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
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

static char disk[4096];
static long disk_bytes;

__attribute__((constructor)) static void read_rules(void) {
    const char *text = getenv("FAULT_RULES");
    while (text && rule_count < 8) {
        struct rule *rule = &rules[rule_count];
        if (sscanf(text, "%15s %d %ld %ld %63s", rule->call, &rule->error, &rule->first, &rule->count, rule->path) == 5)
            rule_count++;
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    text = getenv("FAULT_DISK");
    if (text)
        sscanf(text, "%ld %4095s", &disk_bytes, disk);
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

/* The path of an open file; false if it has none. */
static int path_of(int file, char path[4096]) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, 4095);
    path[length > 0 ? length : 0] = 0;
    return path[0] == '/';
}

static int fails(const char *call, int file) {
    char path[4096];
    return path_of(file, path) ? fails_at(call, path) : 0;
}

static _Thread_local long used_bytes;

static int add_used(const char *path, const struct stat *status, int kind, struct FTW *at) {
    (void)path, (void)kind, (void)at;
    used_bytes += status->st_blocks * 512;
    return 0;
}

static long free_bytes(void) {
    used_bytes = 0;
    nftw(disk, add_used, 16, FTW_PHYS);
    return used_bytes < disk_bytes ? disk_bytes - used_bytes : 0;
}

static int is_on_disk(const char *path) {
    size_t length = strlen(disk);
    return disk_bytes && strncmp(path, disk, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* The error for a file that is to have blocks up to `end`, or 0. */
static int grows(int file, off64_t end) {
    char path[4096];
    struct stat status;
    if (!disk_bytes || fstat(file, &status) || !S_ISREG(status.st_mode))
        return 0;
    off64_t more = end - status.st_blocks * 512;
    return more > 0 && path_of(file, path) && is_on_disk(path) && more > free_bytes() ? ENOSPC : 0;
}

static int write_fails(int file, off64_t at, size_t length) {
    int error = fcntl(file, F_GETFL) & O_DIRECT ? fails("direct", file) : 0;
    error = error ? error : fails("write", file);
    return error ? error : grows(file, (at < 0 ? lseek64(file, 0, SEEK_CUR) : at) + (off64_t)length);
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
    FAIL_IF(file > 2 ? write_fails(file, -1, length) : 0);
    return REAL(write)(file, bytes, length);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    FAIL_IF(file > 2 ? write_fails(file, -1, length) : 0);
    return REAL(writev)(file, parts, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    FAIL_IF(write_fails(file, at, length));
    return REAL(pwrite64)(file, bytes, length, at);
}

int fallocate64(int file, int mode, off64_t at, off64_t length) {
    FAIL_IF(grows(file, at + length));
    return REAL(fallocate64)(file, mode, at, length);
}

int statvfs64(const char *path, struct statvfs64 *status) {
    if (REAL(statvfs64)(path, status))
        return -1;
    if (is_on_disk(path)) {
        status->f_blocks = disk_bytes / status->f_frsize;
        status->f_bfree = status->f_bavail = free_bytes() / status->f_frsize;
    }
    return 0;
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
