/* options.h — one row per option; everything else about options is derived. */
#ifndef CONF_OPTIONS_H
#define CONF_OPTIONS_H

#include "conf/conf.h"

struct option {
    const char *key;
    int (*parse)(const struct option *o, const char *text, void *field, struct err *e);
    void (*release)(void *field); /* NULL: nothing is owned */
    size_t offset;
    const char *preset;  /* goes through parse like a user's text; NULL: required */
    const char *allowed; /* "a | b" for choices, else a description of the form */
    const char *help;
};

struct section {
    const char *name; /* as in the file; "service" stands for "service NAME", "channel" likewise */
    const struct option *options;
    size_t n;
    const char *help;
};

enum section_id {
    SECTION_PINNACE,
    SECTION_ENGINE,
    SECTION_DNS,
    SECTION_NET,
    SECTION_MACHINE,
    SECTION_MAIN,
    SECTION_CHANNEL, /* from here on they have names; those before stand once */
    SECTION_SERVICE,
    NSECTIONS
};
enum { SECTION_FIRST_NAMED = SECTION_CHANNEL };
extern const struct section sections[NSECTIONS];

/* The index of `key` in the section, or -1. */
int option_find(const struct section *s, const char *key);

/* Parse `text` into the field of `base`; the message names what is allowed. */
int option_set(const struct option *o, void *base, const char *text, struct err *e);

/* "postgres-main" -> "POSTGRES_MAIN", cut at `cap`. */
void env_name(char *out, size_t cap, const char *name);

/* Is its value not to be shown? */
bool option_is_secret(const struct option *o);

/* Give back what the options of `base` own. */
void section_release(const struct section *s, void *base);

#endif
