/* Archives into a directory, in which links, files and directories take each other's places:
 * nothing beside that directory may change, and all of it can be removed again.
 *
 * An input that begins with 'A' is an archive; any other one tells how to make one, of few names.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/files/place.h"
#include "channel/files/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_ARCHIVE = 1 << 18 };

static char top[64] = "/dev/shm/f_untar.XXXXXX";
static const char *const names[] = { "a", "b", "c", "d", "..", ".", "", "outside", "file" };

static void cleanup(void) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", top);
    (void)!system(command);
}

static void put(const char *path) {
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0 || write(fd, "keep", 4) != 4)
        abort();
}

/* top/x/y/place, and something to be harmed on each level */
static void prepare(void) {
    if (!mkdtemp(top) || chdir(top) < 0)
        abort();
    (void)atexit(cleanup);
    (void)mkdir("x", 0755);
    (void)mkdir("x/y", 0755);
    (void)mkdir("x/y/outside", 0755);
    put("x/y/outside/file");
    put("x/y/file");
    put("x/file");
    put("file");
}

static int count(const char *path) {
    DIR *d = opendir(path);
    int n = -2;
    while (d && readdir(d))
        n++;
    if (d)
        (void)closedir(d);
    return n;
}

static void check(const char *path, mode_t mode) {
    struct stat st;
    bool is_file = S_ISREG(mode);
    if (lstat(path, &st) < 0 || st.st_mode != mode || st.st_uid != geteuid() ||
        (is_file && (st.st_nlink != 1 || st.st_size != 4)))
        abort();
}

static void check_all(void) {
    static const char *const dirs[] = { ".", "x", "x/y", "x/y/outside" };
    static const char *const files[] = { "file", "x/file", "x/y/file", "x/y/outside/file" };
    static const int counts[] = { 2, 2, 2, 1 };
    for (int i = 0; i < 4; i++) {
        check(files[i], S_IFREG | 0640);
        check(dirs[i], S_IFDIR | (i ? 0755 : 0700));
        if (count(dirs[i]) != counts[i])
            abort();
    }
}

/* --- archives --------------------------------------------------------------------------------- */

struct maker {
    const uint8_t *at, *end;
    char out[MAX_ARCHIVE];
    size_t len;
};

static uint8_t next(struct maker *m) { return m->at < m->end ? *m->at++ : 0; }

static void make_path(struct maker *m, char out[PATH_MAX]) {
    size_t parts = next(m) % 6, len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < parts; i++)
        len += (size_t)snprintf(out + len, PATH_MAX - len, "%s%s", i ? "/" : "",
                                names[next(m) % (sizeof names / sizeof names[0])]);
}

static void make_archive(struct maker *m) {
    static struct tar_entry e;
    char head[TAR_HEAD_MAX];
    while (m->at < m->end && m->len + TAR_HEAD_MAX + TAR_BLOCK < sizeof m->out) {
        e = (struct tar_entry){ .type = (char)('0' + next(m) % 7), .mode = 01777 & (next(m) * 9U) };
        make_path(m, e.path);
        if (e.type == '1' || e.type == '2')
            make_path(m, e.target);
        e.size = e.type == '0' ? next(m) % 100 : 0;
        int n = tar_head(&e, head);
        if (n < 0)
            continue;
        memcpy(m->out + m->len, head, (size_t)n);
        m->len += (size_t)n;
        memset(m->out + m->len, 'x', TAR_BLOCK);
        m->len += e.size ? TAR_BLOCK : 0;
    }
    memset(m->out + m->len, 0, (size_t)2 * TAR_BLOCK);
    m->len += m->len + 2 * TAR_BLOCK <= sizeof m->out ? 2 * TAR_BLOCK : 0;
}

/* --- the worker, here ------------------------------------------------------------------------- */

static void say(int fd, uint32_t word) {
    struct file_order o = { .word = word };
    if (send(fd, &o, sizeof o, 0) != (ssize_t)sizeof o)
        abort();
}

static void unpack(const char *bytes, size_t n) {
    int control[2], data[2];
    struct file_req q = { .op = FILE_UNTAR, .path = "" };
    AUTO_FREE struct worker *w = calloc(1, sizeof *w);
    if (!w || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control) < 0 || pipe(data) < 0 ||
        fcntl(data[1], F_SETPIPE_SZ, 2 * MAX_ARCHIVE) < 0 || write(data[1], bytes, n) != (ssize_t)n)
        abort();
    (void)close(data[1]);
    say(control[0], FILE_SAID_GO);
    say(control[0], FILE_SAID_COMPLETE);
    w->req = &q;
    w->control = control[1];
    w->data = data[0];
    w->signals = -1;
    w->at = w->path;
    (void)snprintf(w->path, sizeof w->path, "%s/x/y/place", top);
    (void)mkdir(w->path, 0755);
    int rc = work_untar(w);
    if (rc < 0 && !w->fault && rc != -EEXIST)
        abort(); /* nothing was said */
    AUTO_FD int dir = open("x/y", O_PATH | O_DIRECTORY | O_CLOEXEC);
    forgive(w);
    if (remove_tree(w, dir, "place", "place") < 0)
        abort();
    (void)close(control[0]);
    (void)close(control[1]);
    (void)close(data[0]);
    free(w->names);
    free(w->room);
    free(w->text.buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct maker m;
    if (!top[0] || size == 0 || size > MAX_ARCHIVE)
        return 0;
    if (strstr(top, "XXXXXX"))
        prepare();
    m.at = data;
    m.end = data + size;
    m.len = 0;
    if (*data == 'A') {
        unpack((const char *)data + 1, size - 1);
    } else {
        make_archive(&m);
        unpack(m.out, m.len);
    }
    check_all();
    return 0;
}
