/* files.h — operations on files, each in a worker: a fork that becomes the user concerned, so that
 * the kernel checks that user's rights, and that may block where the channel must not.
 *
 *     file_begin()  ->  opened()  ->  file_go()  ->  content through the pipe  ->  finished()
 *
 * opened() comes for operations that give or take a content, once it is sure to be there: it brings
 * size, times and version. The others go straight to finished().
 *
 * A worker that is no longer wanted, or whose channel has gone, sees its control socket hang up and
 * takes away what it has half made. Only one that does not get that done is killed.
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
    /* For those who ask: "key\0value\0key\0value\0\0", keys without the prefix; or NULL. */
    const char *xattrs;
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
    bool is_dir;    /* as the kernel says; the watched directory itself is one, too */
    bool moved;     /* FILE_CREATED: by being moved to here */
    bool rewritten; /* FILE_CREATED: it is a new content, put into place by pinnace as a whole */
    const char *path, *name; /* name: relative to the watched directory, which itself is "" */
    const struct file_entry *entry; /* where it is wanted and there; or NULL */
};

struct file_info;

/* How a dialect writes one entry, event, or piece of a content. Called in the worker. */
typedef void file_render_entry(const struct file_entry *e, size_t index, struct text *out);
typedef void file_render_event(const struct file_event *e, size_t index, struct text *out);
/* At most FILE_RENDERED bytes, to 6 for each and some more. How many were used: those that are not
 * come again, with what follows; `last`: nothing follows, and all are to be used. */
typedef size_t file_render_content(const struct file_info *info, const char *bytes, size_t n,
                                   bool last, struct text *out);
enum { FILE_RENDERED = 65535 }; /* a multiple of 3, for base 64 */

#define UPLOAD_ASK UINT64_MAX

struct file_req { /* all pointers borrowed during file_begin() */
    enum file_op op;
    const char
        *path; /* absolute; else to the user's home, as is what follows "~/"; "": it itself */
    const char *base; /* relative paths begin here instead; NULL: at the home */
    const char *to;   /* MOVE, COPY */
    const char *user; /* NULL: as pinnace runs; grammar of spawn_req.user */
    bool as_root;  /* stay what pinnace is, but give what is made to `user`, as E2B's agent does */
    uint32_t mode; /* has_mode: of a new file or directory; CHMOD */
    bool has_mode;
    const char *owner, *group; /* CHMOD; NULL: leave */
    bool parents, recursive, missing_ok, replace, contents, only_new;
    bool in_place;   /* WRITE: truncate and fill the file itself; a content that is cut stays so */
    bool lexical;    /* ".." in a relative path takes the part before it off the text */
    bool keep_dirs;  /* MOVE: nothing takes the place of a directory, not even of an empty one */
    bool into;       /* MOVE: if `to` is a directory, into it, under the same name, as mv(1) */
    bool visible;    /* LIST: no names that begin with a dot, and nothing below them */
    bool plain;      /* REMOVE: no directories, not even empty ones */
    bool check_text; /* READ: info.is_text by all of it */
    bool sniff;      /* READ: info.type by the first bytes, where the name says nothing */
    bool unsynced; /* WRITE: do not wait for the disk to have it; a crash of the machine may undo it
                    */
    bool replace_all; /* UNTAR: once all is unpacked, it takes the place of what was there before */
    bool keep_owner;  /* UNTAR: give what is made to whom the archive names, by number; root only */
    bool xattrs, entries, network_ok; /* WATCH: entries with events; also on NFS, FUSE, SMB */
    unsigned depth;                   /* LIST: 1.. */
    const char *upload;   /* WRITE: a part of the upload of this name; REMOVE: give it up; NULL */
    uint64_t from;        /* where the part goes; UPLOAD_ASK: nowhere, only tell how far it is */
    uint64_t total;       /* the size of the whole upload */
    const char *if_match; /* WRITE: only one of these versions, as in If-Match (RFC 9110); NULL */
    const char *xattr_prefix;      /* of those that are shown and set; NULL: "user." */
    const char *const *set_xattrs; /* WRITE: "key=value", instead of all there are; NULL: leave */
    const char *const *sources;    /* COMPOSE; NULL-terminated */
    file_render_entry *entry;
    file_render_event *event;
    file_render_content *content; /* READ: rendered by this, instead of as it is; NULL */
    /* Patterns (base/glob.h) of paths below `path`; NULL-terminated; or NULL. TAR, WATCH: what is
     * left out, with all below it. WATCH: of what else is told: what matches, if there are any. */
    const char *const *exclude, *const *include;
    const char *shown; /* LIST: what the paths of entries begin with, instead of `path`; NULL */
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
    FILE_BAD_RANGE, /* a part that leaves a gap, or does not fit the size of its upload */
    FILE_CUT,       /* the content ended early; nothing was changed */
    FILE_BAD_CODE,  /* a content that is no base 64; nothing was changed */
    FILE_FAILED,    /* anything else */
};

struct file_info { /* fixed size: it crosses from the worker */
    struct stat st;
    char type[48];       /* FILE_READ: a media type by the name's ending, or req.sniff */
    char etag[64];       /* version, with its quotes: from device, inode, size and change time */
    char path[PATH_MAX]; /* absolute; of MOVE and COPY: where it went */
    bool created;        /* WRITE, MKDIR: was not there before */
    uint64_t done;       /* WRITE of a part: contiguous bytes there now */
    bool complete;       /* WRITE of a part: the upload is whole and in place */
    bool is_text;        /* READ with check_text: UTF-8 without a NUL */
    uint64_t entries;    /* LIST: that were told */
};

/* What holds up others is counted apart: a slow client may hold a stream for hours. */
enum file_class {
    FILE_SHORT,   /* no content: at most `max` at once, more wait */
    FILE_STREAM,  /* content in or out: at most MAX_FILE_STREAMS, more wait */
    FILE_WATCHER, /* at most MAX_FILE_WATCHERS, more are refused */
    FILE_NCLASSES
};

struct files {
    struct loop *loop;
    struct children *children;
    size_t max;
    size_t n[FILE_NCLASSES]; /* processes; also those that still tidy up */
    size_t nwaiting;
    struct link waiting;    /* tasks, in order */
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
    /* The worker is gone; `data` may still hold bytes of a success. */
    void (*finished)(struct file_task *t);
    char *text; /* of what gives one entry: rendered by req.entry; NUL-terminated, the task's */
    size_t text_len;
    /* private */
    struct source control; /* to the worker; .fd is -1 without one */
    struct file_worker *worker;
    void *packed; /* the request while it waits */
};

void files_init(struct files *f, struct loop *l, struct children *cs, size_t max);

/* Begin; `t` need only have its callbacks set. 0; or -errno with `e` for what is wrong at once (bad
 * path, no memory, too many waiting), and the same in t->fault, code and why. The callbacks come
 * from the loop. */
int file_begin(struct files *f, struct file_task *t, const struct file_req *r, struct err *e);
/* After opened(), for all that have one: READ gives `len` bytes from `from`; the others ignore
 * both. What comes of it is told by finished(). */
void file_go(struct file_task *t, uint64_t from, uint64_t len);
/* The content that was to be taken in is complete (WRITE, UNTAR), and `data` is closed by this. An
 * end of `data` without it is FILE_CUT and nothing is changed (but by UNTAR, a part, or
 * `in_place`). */
void file_content_complete(struct file_task *t);
/* The same; and what has come is base 64, to be decoded before it is put into place. Only of a
 * content that replaces a regular file as a whole. */
void file_content_complete_base64(struct file_task *t);
/* End the worker, forget the task, close `data`: no callback comes any more. What is half made is
 * removed. Idempotent; also to be called after finished(), as it gives back what the task holds. */
void file_cancel(struct file_task *t);

#endif
