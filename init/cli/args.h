/* args.h — the command line of a verb, by tables: one parser, and what help, usage errors and shell
 * completions are made of.
 *
 *     -q --quiet          flags; `-it` is `-i -t`
 *     -u USER -uUSER      values
 *     --user USER --user=USER
 *     --                  only words from here on
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/time.h"

struct option {
    const char *name; /* long, without dashes; NULL ends a table */
    char brief;       /* the short letter; 0: none */
    const char *arg;  /* what its value is: "USER"; "[TIME]" may be left out, and is joined by '='
                       * where it is not; NULL: a flag */
    const char *help;
};

enum { ANY_NUMBER = 255 };

enum verb_flag {
    VERB_REMOTE = 1,  /* asks a pinnace: has --host, too */
    VERB_REST = 2,    /* options end before the first word, which is a command's */
    VERB_RAW = 4,     /* parses its words itself: they are all in args.words */
    VERB_COMMAND = 8, /* ends as a command does: wrong usage is 125, not 2 */
};

/* What a verb's words are, for completion. */
enum word_kind {
    WORD_NONE,
    WORD_FILE,
    WORD_UNIT,
    WORD_JOB,
    WORD_NAME,
    WORD_COMMAND,
    WORD_VERB,
    WORD_SHELL
};

struct args;

struct verb {
    const char *name, *words;         /* "CMD [ARG...]" */
    uint8_t min, max;                 /* number of words; max: ANY_NUMBER */
    uint8_t flags, kind;              /* enum verb_flag, enum word_kind */
    const struct option *options;     /* or NULL */
    int (*run)(const struct args *a); /* returns the exit status */
    const char *help;
};

struct given {
    const struct option *option;
    const char *value; /* of argv; NULL */
};

struct args {
    const struct verb *verb;
    const char *host; /* what --host says, before or after the verb; NULL */
    bool help;        /* --help */
    instant started;  /* of the process */
    char **words;     /* NULL-terminated; strings of argv */
    int nwords;
    struct given *given; /* in their order */
    size_t ngiven;
};

/* The options of every remote verb, and of every verb. */
extern const struct option option_host, option_help;

/* Parse argv[0..argc), which follows the verb. 0; -EINVAL with `e`, for a usage error; -ENOMEM.
 * args_free() in any case. `a` was zeroed, but for what is known before. */
int args_parse(struct args *a, int argc, char **argv, struct err *e);
void args_free(struct args *a);

/* Options at the start of argv[1..argc), before the verb: --host, --help, --version. Returns where
 * the verb is, or -EINVAL. *verb is set for those that stand for one. */
int args_before_verb(struct args *a, int argc, char **argv, const char **verb, struct err *e);

/* By the long name. The value is the last one's. */
bool args_has(const struct args *a, const char *name);
const char *args_value(const struct args *a, const char *name);
/* The next value of an option that may come often; *at begins with 0. NULL at the end. */
const char *args_next(const struct args *a, const char *name, size_t *at);

/* Values with a meaning. 0, and *out as it was where the option is not given; -EINVAL. */
int args_span(const struct args *a, const char *name, span *out, struct err *e);
int args_uint(const struct args *a, const char *name, unsigned max, unsigned *out, struct err *e);

/* "usage: pinnace exec [OPTION...] CMD [ARG...]", and with `full` what each option means. */
void args_usage(const struct verb *v, bool full, struct text *out);

#endif
