/* worker.h — what is inside a file worker: one operation, in a process of its own that may block.
 *
 * Its functions return 0 (or a useful number), or -errno after having said with fail() what went
 * wrong, once: what is said first stays. -ECANCELED needs no words: nobody waits for them.
 */
#ifndef CHANNEL_FILES_WORKER_H
#define CHANNEL_FILES_WORKER_H

#include <sys/types.h>

#include "base/limits.h"
#include "channel/files/files.h"
#include "sys/user.h"

/* --- between a worker and its channel: a SOCK_SEQPACKET pair, one struct a packet ------------- */

enum file_word {
    FILE_SAYS_OPENED,
    FILE_SAYS_TEXT,
    FILE_SAYS_DONE,
    FILE_SAID_GO,
    FILE_SAID_COMPLETE,
    FILE_SAID_COMPLETE_BASE64
};

struct file_report { /* OPENED, DONE */
    uint32_t word;
    int32_t fault, code;
    char why[sizeof((struct file_task *)0)->why];
    struct file_info info;
};

enum { FILE_TEXT_PIECE = 32768 };
struct file_text { /* TEXT: the packet's length says how much of it there is */
    uint32_t word;
    char bytes[FILE_TEXT_PIECE];
};

struct file_order { /* GO, COMPLETE */
    uint32_t word;
    uint64_t from, len;
};

/* --- the worker ------------------------------------------------------------------------------- */

struct name_cache; /* of owners' and groups' names */
struct entry_room; /* what one entry points into */

struct worker {
    const struct file_req *req;
    int control;
    int data;           /* the content's pipe, non-blocking; or -1 */
    int signals;        /* signalfd(2) of what asks a process to end */
    bool base64;        /* the content in was complete, and is that */
    bool tidying;       /* no longer to be stopped: it takes away what it has half made */
    struct identity id; /* whom things are made for: with as_root not who we are */
    char home[PATH_MAX];
    char path[PATH_MAX], to[PATH_MAX]; /* absolute */
    bool path_slash, to_slash;         /* it ended in a slash: must be a directory */
    const char *at;                    /* what is worked on now, for messages */
    struct file_info info;
    enum file_fault fault;
    struct err err;
    uint64_t from, len; /* of GO */
    struct text text;   /* rendered, not yet written */
    size_t index;       /* of the next entry or event */
    struct name_cache *names;
    struct entry_room *room;
};

struct worker_args {
    const struct file_req *req;
    int control, data;
};
int worker_main(void *args); /* the exit status */

/* Say what went wrong; return -code. The second finds the kind of fault by errno. */
__attribute__((format(printf, 4, 5))) int fail(struct worker *w, enum file_fault fault, int code,
                                               const char *fmt, ...);
__attribute__((format(printf, 3, 4))) int fail_sys(struct worker *w, int code, const char *fmt,
                                                   ...);

/* What was said was nothing after all. */
void forgive(struct worker *w);

/* Wait until poll(2) has `events` for `fd`. 0; -ECANCELED when we are no longer wanted. */
int worker_wait(struct worker *w, int fd, short events);
/* Are we still? To be asked now and then on long ways. 0 or -ECANCELED. */
int worker_wanted(struct worker *w);

/* Tell that the content is there, with w->info, and wait to be told to go: sets from and len. */
int worker_opened(struct worker *w);
/* The content in has ended: was it complete? 0; else -EPIPE, FILE_CUT. */
int worker_complete(struct worker *w);

/* --- through the pipe. -EPIPE: the reader has gone, which is -ECANCELED here ----------------- */

int pipe_put(struct worker *w, const void *bytes, size_t n);
/* What is there, at most cap bytes; 0 at the end. */
ssize_t pipe_get(struct worker *w, void *bytes, size_t cap);
/* Move `n` bytes from the file at `offset`, without a copy where the file system lets us. How many
 * it was: fewer when the file has ended. */
int64_t pipe_from_file(struct worker *w, int fd, off_t offset, uint64_t n);
/* Move what comes into the file, to the content's end or `max` bytes. How many it was. */
int64_t pipe_to_file(struct worker *w, int fd, off_t offset, uint64_t max);

/* --- entries and events (entry.c) ------------------------------------------------------------ */

/* The entry for `name` in `dir`, whose path is `path`, and who is called `shown`. Good until the
 * next. `st` is lstat(2) of it. */
const struct file_entry *entry_make(struct worker *w, int dir, const char *name,
                                    const struct stat *st, const char *path, const char *shown);
/* Make w->text ready: MAX_FILE_TEXT bytes. False: no memory. */
bool text_room(struct worker *w);
/* Render into w->text, and that into the pipe when it is long. */
int entry_out(struct worker *w, const struct file_entry *e);
int event_out(struct worker *w, const struct file_event *e);
int text_out(struct worker *w, const char *s);
int text_flush(struct worker *w);
/* The entry of `path` to the channel, where it is asked for; sets info.st, etag and path as well.
 */
int tell_entry(struct worker *w, const char *path);
void etag_make(const struct stat *st, char out[64]);
const char *owner_name(struct worker *w, uid_t uid);
const char *group_name(struct worker *w, gid_t gid);

/* --- paths (path.c) -------------------------------------------------------------------------- */

/* `in` made absolute as file_req.path says, without empty and "." parts; ".." is the kernel's to
 * understand, unless file_req.lexical says otherwise. *slash: it ended in one. */
int path_absolute(struct worker *w, const char *in, char out[PATH_MAX], bool *slash);
/* dir + "/" + name; -ENAMETOOLONG. `out` may be `dir`. */
int path_join(char out[PATH_MAX], const char *dir, const char *name);
/* The directory that the last part of `path` is in (O_PATH), and that part: "" of "/". `make`: what
 * is missing is made. The fd, or -errno. */
int open_parent(struct worker *w, const char *path, bool make, char name[NAME_MAX + 1]);
/* The same; the last part must be a name: not "/" or "..". */
int open_parent_of_name(struct worker *w, const char *path, bool make, char name[NAME_MAX + 1]);
/* Make a directory and open it (O_PATH); owned as req says. -EEXIST says nothing. */
int make_dir(struct worker *w, int dir, const char *name, mode_t mode);
/* A directory (O_PATH), and those on the way to it where they are missing. */
int make_dirs(struct worker *w, const char *path);
/* With as_root: give what we have made to the user; also a file whose content we have replaced. */
bool is_given(const struct worker *w);
int give(struct worker *w, int fd);
/* Set permission bits of what `name` is itself, never of what it points to. 0 or -errno. */
int set_mode(int dir, const char *name, mode_t mode);

/* --- operations ------------------------------------------------------------------------------ */

int work_read(struct worker *w);
int work_write(struct worker *w);
int work_compose(struct worker *w);
int work_list(struct worker *w);
int work_mkdir(struct worker *w);
int work_move(struct worker *w);
int work_copy(struct worker *w);
int work_remove(struct worker *w);
int work_chmod(struct worker *w);
int work_tar(struct worker *w);
int work_untar(struct worker *w);
int work_watch(struct worker *w);

/* By the name's ending; NULL: that says nothing. */
const char *media_type(const char *name);
/* By the first bytes. */
const char *media_type_of(const unsigned char *bytes, size_t n);
enum { MEDIA_SNIFFED = 512 }; /* of them that are worth looking at */
#define MEDIA_ANY "application/octet-stream"

#endif
