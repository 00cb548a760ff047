/* files.h — operations on files, each in a worker: a fork that becomes the user concerned, so that
 * the kernel checks that user's rights, and that may block where the channel must not.
 *
 *     file_begin()  ->  opened()  ->  file_go()  ->  content through the pipe  ->  finished()
 *
 * opened() comes for operations that give or take a content, once it is sure to be there: it brings
 * size, times and version. The others go straight to finished().
 */
#ifndef CHANNEL_FILES_FILES_H
#define CHANNEL_FILES_FILES_H

#include <limits.h>
#include <sys/stat.h>

#include "base/str.h"
#include "loop/children.h"

enum file_op {
    FILE_STAT,
    FILE_READ,  /* content out */
    FILE_WRITE, /* content in: atomic replacement, or a part of a resumable upload */
    FILE_LIST,  /* rendered entries out */
    FILE_MKDIR,
    FILE_MOVE,
    FILE_COPY,
    FILE_REMOVE,
    FILE_CHMOD,   /* mode, owner, group; each if given */
    FILE_TAR,     /* archive out */
    FILE_UNTAR,   /* archive in */
    FILE_WATCH,   /* rendered events out, until cancelled */
    FILE_COMPOSE, /* contents of several files into one, atomically; then they are removed */
    FILE_NOPS
};

struct file_entry {
    const char *path;     /* as asked, made absolute; below it for lists */
    const char *name;     /* the last part, or relative to the listed directory where depth > 1 */
    struct stat st;       /* lstat(2) */
    const char *target;   /* readlink(2) of a symbolic link; "" otherwise */
    const char *resolved; /* realpath(3) of a symbolic link; "" where it dangles */
    bool has_pointed;     /* a symbolic link's object is there: */
    struct stat pointed;
    char owner[64], group[64]; /* names, or the numbers as text */
    const char *xattrs; /* for those who ask with `xattrs`: "key\0value\0key\0value\0\0"; or NULL */
};

enum file_event_kind {
    FILE_WATCHING,
    FILE_CREATED,
    FILE_WRITTEN,
    FILE_REMOVED,
    FILE_RENAMED,
    FILE_CHMODED,
    FILE_OVERFLOW
};

struct file_event {
    enum file_event_kind kind;
    const char *path, *name;        /* name: relative to the watched directory */
    const struct file_entry *entry; /* where it is wanted and there; or NULL */
};

/* How a dialect writes one entry or event. Called in the worker. */
typedef void file_render_entry(const struct file_entry *e, size_t index, struct text *out);
typedef void file_render_event(const struct file_event *e, size_t index, struct text *out);

struct file_req { /* all pointers borrowed during file_begin() */
    enum file_op op;
    const char
        *path; /* absolute; or relative to, or "~/" for, the user's home; "" is base, else home */
    const char *base; /* NULL: the home; else relative paths begin here */
    const char *to;   /* MOVE, COPY */
    const char *user; /* NULL: as pinnace runs; grammar of spawn_req.user */
    bool as_root; /* stay what pinnace is, but give what is made to `user` (what the E2B agent does)
                   */
    uint32_t mode; /* has_mode: of a new file or directory; CHMOD */
    bool has_mode;
    const char *owner, *group; /* CHMOD; NULL: leave */
    bool parents, recursive, missing_ok, replace, contents, only_new, in_place;
    bool xattrs, entries, network_ok; /* WATCH: entries with events; also on NFS, FUSE, SMB */
    unsigned depth;                   /* LIST: 1.. */
    const char *upload;               /* WRITE: the id of a resumable upload; NULL: whole */
    uint64_t from, total;             /* WRITE of a part: where it goes, the size of it all */
    const char *if_match;             /* WRITE: only this version; NULL */
    const char *const *set_xattrs;    /* WRITE: "key=value" of user.* to set; NULL */
    const char *const *sources;       /* COMPOSE; NULL-terminated */
    file_render_entry *entry;
    file_render_event *event;
    const char *head, *tail; /* LIST: text before the first and after the last entry; NULL */
};

/* What went wrong, in kinds that every dialect can name. */
enum file_fault {
    FILE_OK,
    FILE_NOT_FOUND,
    FILE_DENIED,
    FILE_EXISTS,
    FILE_IS_DIR,
    FILE_NOT_DIR,
    FILE_NOT_EMPTY,
    FILE_BAD_PATH, /* too long, NUL, ".." out of an archive's place, ~other */
    FILE_BAD_USER,
    FILE_BAD_ARCHIVE,
    FILE_NO_SPACE,
    FILE_CHANGED, /* if_match, only_new */
    FILE_READ_ONLY,
    FILE_BUSY,
    FILE_LOOP,
    FILE_NETWORK_FS, /* WATCH without network_ok */
    FILE_LIMIT,
    FILE_CUT,    /* the content ended early; nothing was changed */
    FILE_FAILED, /* anything else */
};

struct file_info { /* fixed size: it crosses from the worker */
    struct stat st;
    char type[48];       /* FILE_READ: a media type by the name's ending */
    char etag[64];       /* version, with its quotes: from device, inode, size and change time */
    char path[PATH_MAX]; /* absolute */
    bool created;        /* WRITE, MKDIR: was not there before */
    uint64_t done;       /* WRITE of a part: contiguous bytes there now */
    bool complete;       /* WRITE of a part: the upload is whole and in place */
};

struct files {
    struct loop *loop;
    struct children *children;
    size_t n, max; /* workers at once, MAX_FILE_WORKERS; more wait in order */
    struct link waiting, running;
    uint64_t total, failed; /* for metrics */
};

struct file_task {
    struct files *files;
    struct link link;
    int data; /* READ, LIST, TAR, WATCH: read end; WRITE, UNTAR: write end; non-blocking; else -1 */
    struct file_info info;
    enum file_fault fault;
    int code;      /* errno behind it; 0 */
    char why[320]; /* in words */
    void (*opened)(struct file_task *t);
    void (*finished)(
        struct file_task *t); /* the worker is gone; `data` may still hold bytes of a success */
    /* STAT and others that give one entry: rendered by req.entry; owned by the task */
    char *text;
    size_t text_len;
    /* private */
    struct child child;
    struct source control;
    int go;
    bool is_open, is_done;
    char *packed; /* the request while it waits */
};

void files_init(struct files *f, struct loop *l, struct children *cs, size_t max);

/* Begin. 0; -errno with `e` for what is wrong at once (bad path, no memory, too many waiting). The
 * callbacks come from the loop. */
int file_begin(struct files *f, struct file_task *t, const struct file_req *r, struct err *e);
/* After opened(): READ gives `len` bytes from `from`; the others ignore both. */
void file_go(struct file_task *t, uint64_t from, uint64_t len);
/* The content that was to be taken in is complete (WRITE, UNTAR): close `data` after this; without
 * it, an early end of `data` is FILE_CUT and nothing is changed. */
void file_content_complete(struct file_task *t);
/* Kill the worker, forget the task: no callback comes any more. A half-made temporary file is
 * removed. Idempotent; also to be called after finished(). */
void file_cancel(struct file_task *t);

#endif
