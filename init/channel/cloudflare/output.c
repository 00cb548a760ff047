#include "channel/cloudflare/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/grow.h"
#include "base/own.h"

/* A file that nobody else can see. Not in the run directory, which is memory in most boxes. */
static int open_nameless(void) {
    static const char *const dirs[] = { "/var/tmp", "/tmp", "/run" };
    int fd = -1;
    for (size_t i = 0; fd < 0 && i < sizeof dirs / sizeof dirs[0]; i++) {
        char name[64] = "";
        fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            break;
        (void)strcat(strcpy(name, dirs[i]), "/pinnace-XXXXXX");
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0)
            (void)unlink(name);
    }
    return fd;
}

static bool write_all(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t k = write(fd, bytes, n);
        if (k < 0 && errno != EINTR)
            return false;
        bytes += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return true;
}

/* False: errno says why. */
static bool to_file(struct cf_output *o) {
    if (o->file >= 0)
        return true;
    o->file = open_nameless();
    if (o->file < 0 || !write_all(o->file, o->mem, (size_t)o->size))
        return false;
    mem_release(&o->mem);
    o->cap = 0;
    return true;
}

static void put(struct cf_output *o, const char *bytes, size_t n) {
    bool large = o->file >= 0 || n > CF_OUTPUT_MEMORY - o->size;
    bool kept = large ? to_file(o) && write_all(o->file, bytes, n)
                      : mem_grow(&o->mem, &o->cap, (size_t)o->size + n, 1);
    if (!kept) {
        o->failed = large ? errno : ENOMEM;
        return;
    }
    if (!large)
        memcpy(o->mem + o->size, bytes, n);
    o->size += n;
    o->last = bytes[n - 1];
}

void cf_output_put(struct cf_output *o, const char *bytes, size_t n) {
    while (n > 0 && !o->failed) {
        const char *nul = memchr(bytes, '\0', n);
        size_t part = nul ? (size_t)(nul - bytes) : n;
        if (part > 0)
            put(o, bytes, part);
        bytes += part + (nul != NULL);
        n -= part + (nul != NULL);
    }
}

void cf_output_trim(struct cf_output *o) {
    if (o->size > 0 && o->last == '\n')
        o->size--;
    o->last = '\0';
}

size_t cf_output_read(const struct cf_output *o, uint64_t at, char *buf, size_t cap) {
    size_t n = at < o->size ? (size_t)(o->size - at < cap ? o->size - at : cap) : 0;
    if (n == 0 || o->file < 0) {
        if (n > 0)
            memcpy(buf, o->mem + at, n);
        return n;
    }
    ssize_t k = pread(o->file, buf, n, (off_t)at);
    return k > 0 ? (size_t)k : 0;
}

void cf_output_free(struct cf_output *o) {
    fd_close(&o->file);
    free(o->mem);
    *o = CF_OUTPUT_EMPTY;
}
