#include "conf/conf.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "conf/channel.h"
#include "conf/options.h"

/* What an option is set on: a section's table and the struct it fills. */
struct target {
    const struct section *section;
    void *base;
    const char *kind, *name; /* for messages: "" "main", "" "postgres", "channel " "local" */
};

/* --- sections and options -------------------------------------------------------------- */

static int set_defaults(const struct section *s, void *base, struct err *e) {
    for (size_t i = 0; i < s->n; i++) {
        const struct option *o = &s->options[i];
        if (o->preset && option_set(o, base, o->preset, e) < 0)
            return err_wrap(e, "default of %s.%s", s->name, o->key);
    }
    return 0;
}

/* Zeroed and given its defaults; NULL without memory. */
static void *section_new(const struct section *s, size_t size, struct err *e) {
    void *base = calloc(1, size);
    if (!base)
        (void)err_set(e, ENOMEM, "out of memory");
    if (base && set_defaults(s, base, e) < 0) {
        section_release(s, base);
        mem_release(&base);
    }
    return base;
}

static void section_free(const struct section *s, void *base) {
    section_release(s, base);
    free(base);
}

struct svc_conf *svc_conf_new(const char *name, struct err *e) {
    struct svc_conf *svc = section_new(&sections[SECTION_SERVICE], sizeof *svc, e);
    if (svc)
        (void)snprintf(svc->name, sizeof svc->name, "%s", name);
    return svc;
}

void svc_conf_free(struct svc_conf *svc) { section_free(&sections[SECTION_SERVICE], svc); }

/* --- sections with names ------------------------------------------------------------------ */

static bool is_channel(const struct section *s) { return s == &sections[SECTION_CHANNEL]; }

static size_t named_count(const struct conf *c, const struct section *s) {
    return is_channel(s) ? c->nchannels : c->nservices;
}

/* The nth of its kind. */
static struct target named_target(struct conf *c, const struct section *s, size_t n) {
    if (is_channel(s))
        return (struct target){ s, c->channels[n], "channel ", c->channels[n]->name };
    return (struct target){ s, c->services[n], "", c->services[n]->name };
}

/* Names become file names, cgroup names and variable names. */
static int check_name(const struct section *s, const char *name, struct err *e) {
    static const char *const taken[] = { "engine", "main", "pinnace" };
    size_t n = strlen(name);
    if (n == 0 || n >= MAX_NAME)
        return err_set(e, EINVAL, "a %s name has 1 to %d bytes", s->name, MAX_NAME - 1);
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && (p == name || !strchr("-_.", *p)))
            return err_set(e, EINVAL, "%s name '%s' may hold letters, digits and, not first, - _ .",
                           s->name, name);
    for (size_t i = 0; !is_channel(s) && i < sizeof taken / sizeof taken[0]; i++)
        if (strcmp(name, taken[i]) == 0)
            return err_set(e, EINVAL, "service name '%s' is taken: use the section [%s]", name,
                           name);
    return 0;
}

static int named_add(struct conf *c, const struct section *s, const char *name,
                     struct conf_place place, struct err *e) {
    int most = is_channel(s) ? MAX_CHANNELS : MAX_SERVICES;
    if (check_name(s, name, e) < 0)
        return -e->code;
    if (named_count(c, s) == (size_t)most)
        return err_set(e, E2BIG, "[%s %s] is one too many, %d are allowed", s->name, name, most);
    if (!is_channel(s)) {
        struct svc_conf *svc = svc_conf_new(name, e);
        if (!svc)
            return -e->code;
        svc->place = place;
        c->services[c->nservices++] = svc;
        return 0;
    }
    struct channel_conf *channel = section_new(s, sizeof *channel, e);
    if (!channel)
        return -e->code;
    (void)snprintf(channel->name, sizeof channel->name, "%s", name);
    channel->place = place;
    c->channels[c->nchannels++] = channel;
    return 0;
}

/* Find it, or make it. */
static int named_open(struct conf *c, const struct section *s, const char *name,
                      struct conf_place place, struct target *t, struct err *e) {
    for (size_t i = 0; i < named_count(c, s); i++) {
        *t = named_target(c, s, i);
        if (strcmp(t->name, name) == 0)
            return 0;
    }
    int rc = named_add(c, s, name, place, e);
    if (rc == 0)
        *t = named_target(c, s, named_count(c, s) - 1);
    return rc;
}

/* --- those that stand once ------------------------------------------------------------------ */

static void *fixed_base(struct conf *c, enum section_id id) {
    switch (id) {
    case SECTION_PINNACE:
        return &c->pinnace;
    case SECTION_ENGINE:
        return &c->engine;
    case SECTION_DNS:
        return &c->dns;
    case SECTION_NET:
        return &c->net;
    case SECTION_MACHINE:
        return &c->machine;
    default:
        return &c->main;
    }
}

static int unknown_section(const char *name, struct err *e) {
    const char *names[NSECTIONS];
    char buf[160];
    struct text list = TEXT(buf);
    for (size_t i = 0; i < NSECTIONS; i++) {
        names[i] = sections[i].name;
        if (i >= SECTION_FIRST_NAMED)
            names[i] = is_channel(&sections[i]) ? "channel NAME" : "service NAME";
        text_add(&list, "%s[%s]", i ? ", " : "", names[i]);
    }
    const char *near = nearest(name, names, NSECTIONS);
    return err_set(e, EINVAL, "[%s] is not a section; there are %s%s%s%s", name, buf,
                   near ? " (did you mean [" : "", near ? near : "", near ? "]?)" : "");
}

static struct target fixed_target(struct conf *c, int id) {
    return (struct target){ &sections[id], fixed_base(c, (enum section_id)id), "",
                            sections[id].name };
}

/* "main", "service postgres": find it, or make it. */
static int open_section(struct conf *c, const char *name, struct conf_place place, struct target *t,
                        struct err *e) {
    for (int i = 0; i < NSECTIONS; i++) {
        size_t n = strlen(sections[i].name);
        if (strncmp(name, sections[i].name, n) != 0)
            continue;
        if (i >= SECTION_FIRST_NAMED && name[n] == ' ')
            return named_open(c, &sections[i], name + n + 1, place, t, e);
        if (i < SECTION_FIRST_NAMED && name[n] == '\0') {
            *t = fixed_target(c, i);
            return 0;
        }
    }
    return unknown_section(name, e);
}

static int unknown_key(const struct target *t, const char *key, struct err *e) {
    const char *keys[CONF_MAX_OPTIONS];
    for (size_t i = 0; i < t->section->n; i++)
        keys[i] = t->section->options[i].key;
    const char *near = nearest(key, keys, t->section->n);
    return err_set(e, EINVAL, "%s%s.%s: no such key%s%s%s", t->kind, t->name, key,
                   near ? " (did you mean " : "", near ? near : "",
                   near ? "?)" : "; `pinnace config --help` lists them");
}

static int set_key(const struct target *t, struct conf_place place, const char *key,
                   const char *value, struct err *e) {
    int i = option_find(t->section, key);
    if (i < 0)
        return unknown_key(t, key, e);
    struct conf_given *given = (struct conf_given *)t->base + i;
    if (given->text && given->place.origin == place.origin)
        return err_set(e, EEXIST, "%s%s.%s: given twice", t->kind, t->name, key);
    if (option_set(&t->section->options[i], t->base, value, e) < 0) {
        bool comment = strstr(value, " ;") || strstr(value, " #");
        struct err why = *e;
        return err_set(e, why.code, "%s%s.%s: %s%s", t->kind, t->name, key, why.text,
                       comment ? " (comments stand on lines of their own)" : "");
    }
    char *copy = strdup(value);
    if (!copy)
        return err_set(e, ENOMEM, "out of memory");
    mem_release(&given->text);
    *given = (struct conf_given){ copy, place };
    return 0;
}

static int add_source(struct conf *c, const char *origin, struct err *e) {
    if (c->nsources == sizeof c->sources / sizeof c->sources[0])
        return err_set(e, E2BIG, "%s is one file too many, %d are allowed", origin, MAX_CONF_FILES);
    char *copy = strdup(origin);
    if (!copy)
        return err_set(e, ENOMEM, "out of memory");
    c->sources[c->nsources++] = copy;
    return 0;
}

static const char *newest_source(const struct conf *c) { return c->sources[c->nsources - 1]; }

/* --- INI text -------------------------------------------------------------------------- */

struct reader {
    struct conf *conf;
    struct err *e;
    struct target target;
    bool in_section;
    int line; /* of the error */
};

/* inih's callback, see the options it is built with; nonzero to go on. A section line
 * comes with `key` NULL. inih cuts section names at 49 bytes, so longer ones are caught
 * by the name's own limit, which is lower. */
static int on_line(void *user, const char *section, const char *key, const char *value, int line) {
    struct reader *r = user;
    struct conf_place place = { newest_source(r->conf), line };
    int rc;
    if (!key) {
        rc = open_section(r->conf, section, place, &r->target, r->e);
        r->in_section = rc == 0;
    } else if (!r->in_section) {
        rc = err_set(r->e, EINVAL, "'%.60s' stands before any [section]", key);
    } else {
        rc = set_key(&r->target, place, key, value ? value : "", r->e);
    }
    if (rc < 0)
        r->line = line;
    return rc == 0;
}
_Static_assert(sizeof "service " + MAX_NAME < 49, "inih cuts section names at 49 bytes");

/* inih cuts over-long lines, so they are refused before it sees them. */
static int check_lines(const char *origin, const char *text, struct err *e) {
    int line = 1;
    for (const char *p = text; *p; line++) {
        size_t n = strcspn(p, "\n");
        if (n >= MAX_INI_LINE - 2)
            return err_set(e, E2BIG, "%s:%d: line of %zu bytes, %d are allowed", origin, line, n,
                           MAX_INI_LINE - 3);
        p += n + (p[n] == '\n');
    }
    return 0;
}

int conf_add_text(struct conf *c, const char *origin, const char *text, struct err *e) {
    int rc = check_lines(origin, text, e);
    rc = rc < 0 ? rc : add_source(c, origin, e);
    if (rc < 0)
        return rc;
    struct reader r = { .conf = c, .e = e };
    *e = (struct err){ 0 };
    int line = ini_parse_string(text, on_line, &r);
    if (line == 0)
        return 0;
    if (e->code)
        return err_wrap(e, "%s:%d", origin, r.line);
    return err_set(e, EINVAL, "%s:%d: neither [section] nor key = value", origin, line);
}

/* --- environment ------------------------------------------------------------------------ */

void env_name(char *out, size_t cap, const char *name) {
    size_t i = 0;
    for (; name[i] && i + 1 < cap; i++)
        out[i] = isalnum((unsigned char)name[i]) ? (char)toupper((unsigned char)name[i]) : '_';
    out[i] = '\0';
}

/* The option whose variable name ends `var`, the longest if several do; -1. *stem becomes
 * the length of what stands before "_KEY". */
static int option_by_suffix(const struct section *s, const char *var, size_t *stem) {
    int found = -1;
    size_t longest = 0, n = strlen(var);
    for (size_t i = 0; i < s->n; i++) {
        char key[64];
        env_name(key, sizeof key, s->options[i].key);
        size_t k = strlen(key);
        if (k > longest && n >= k && strcmp(var + n - k, key) == 0 &&
            (n == k || var[n - k - 1] == '_')) {
            found = (int)i;
            longest = k;
            *stem = n == k ? 0 : n - k - 1;
        }
    }
    return found;
}

/* <NAME>_<KEY>, behind SERVICE_ or CHANNEL_: a known one by its variable name, or a new one. */
static int named_from_env(struct conf *c, const struct section *s, const char *var,
                          struct target *t, int *option, struct err *e) {
    size_t stem;
    *option = option_by_suffix(s, var, &stem);
    if (*option < 0 || stem == 0 || stem >= MAX_NAME)
        return -ENOENT;
    char name[MAX_NAME], known[MAX_NAME];
    (void)snprintf(name, sizeof name, "%.*s", (int)stem, var);
    for (size_t i = 0; i < named_count(c, s); i++) {
        *t = named_target(c, s, i);
        env_name(known, sizeof known, t->name);
        if (strcmp(known, name) == 0)
            return 0;
    }
    for (char *p = name; *p; p++)
        *p = *p == '_' ? '-' : (char)tolower((unsigned char)*p);
    return named_open(c, s, name, (struct conf_place){ newest_source(c), 0 }, t, e);
}

/* Which option a variable (without PINNACE_) means. [pinnace] may leave its name out. */
static int target_from_env(struct conf *c, const char *var, struct target *t, int *option,
                           struct err *e) {
    for (int i = 0; i < NSECTIONS; i++) {
        char section[24], prefix[32];
        env_name(section, sizeof section, sections[i].name);
        (void)snprintf(prefix, sizeof prefix, "%s_", section);
        if (i >= SECTION_FIRST_NAMED && has_prefix(var, prefix))
            return named_from_env(c, &sections[i], var + strlen(prefix), t, option, e);
        const char *rest = has_prefix(var, prefix) ? var + strlen(prefix)
                           : i == SECTION_PINNACE  ? var
                                                   : NULL;
        size_t stem;
        bool once = rest && i < SECTION_FIRST_NAMED;
        *option = once ? option_by_suffix(&sections[i], rest, &stem) : -1;
        if (*option >= 0 && stem == 0) {
            *t = fixed_target(c, i);
            return 0;
        }
    }
    return -ENOENT;
}

static int add_variable(struct conf *c, const char *assignment, struct err *e) {
    char var[128];
    size_t n = strcspn(assignment, "=");
    (void)snprintf(var, sizeof var, "%.*s", n < sizeof var ? (int)n : 8, assignment);
    const char *rest = var + strlen("PINNACE_");
    if (strcmp(rest, "CONFIG") == 0 || strcmp(rest, "HOST") == 0 || strcmp(rest, "TOKEN") == 0)
        return 0; /* where the config is, and what the client verbs read */
    struct target t = { 0 };
    int option = -1;
    int rc = target_from_env(c, rest, &t, &option, e);
    if (rc == -ENOENT) {
        log_warn(NULL, "environment variable %.*s names no option and is ignored", (int)n,
                 assignment);
        return 0;
    }
    if (rc < 0)
        return err_wrap(e, "environment: %s", var);
    char value[MAX_ENV_VALUE + 1];
    const char *text = assignment + n + 1 + strspn(assignment + n + 1, " \t\r\n\v\f");
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1])) /* as in a file */
        len--;
    if (len > MAX_ENV_VALUE)
        return err_set(e, E2BIG, "environment: %s: value of %zu bytes, %d are allowed", var, len,
                       MAX_ENV_VALUE);
    (void)snprintf(value, sizeof value, "%.*s", (int)len, text);
    struct conf_place place = { newest_source(c), 0 };
    rc = set_key(&t, place, t.section->options[option].key, value, e);
    return rc < 0 ? err_wrap(e, "environment: %s", var) : 0;
}

int conf_add_env(struct conf *c, char *const *env, struct err *e) {
    int rc = add_source(c, "environment", e);
    for (; rc == 0 && *env; env++)
        if (has_prefix(*env, "PINNACE_") && strchr(*env, '='))
            rc = add_variable(c, *env, e);
    return rc;
}

/* --- the whole -------------------------------------------------------------------------- */

int conf_begin(struct conf *c, struct err *e) {
    *c = (struct conf){ 0 };
    *e = (struct err){ 0 };
    int rc = 0;
    for (int i = 0; i < SECTION_FIRST_NAMED && rc == 0; i++)
        rc = set_defaults(&sections[i], fixed_base(c, (enum section_id)i), e);
    return rc < 0 ? rc
                  : named_add(c, &sections[SECTION_CHANNEL], "local", (struct conf_place){ 0 }, e);
}

int err_at(struct err *e, struct conf_place at) {
    if (!at.origin)
        return -e->code;
    return at.line ? err_wrap(e, "%s:%d", at.origin, at.line) : err_wrap(e, "%s", at.origin);
}

static struct conf_place place_of(const struct section *s, const void *base, const char *key) {
    const struct conf_given *given = base;
    int i = option_find(s, key);
    return i >= 0 && given[i].text ? given[i].place : (struct conf_place){ 0 };
}

struct conf_place svc_conf_place(const struct svc_conf *svc, const char *key) {
    struct conf_place at = place_of(&sections[SECTION_SERVICE], svc, key);
    return at.origin ? at : svc->place;
}

struct conf_place conf_engine_after(const struct conf *c) {
    return place_of(&sections[SECTION_ENGINE], &c->engine, "after");
}

/* The one that is there without being written begins where its first option is. */
static struct conf_place channel_place(const struct channel_conf *ch) {
    struct conf_place at = ch->place;
    for (size_t i = 0; i < sections[SECTION_CHANNEL].n && !at.origin; i++)
        if (ch->given[i].text)
            at = ch->given[i].place;
    return at;
}

static int finish_service(const struct svc_conf *svc, struct err *e) {
    if (!svc->command || !svc->command[0]) {
        (void)err_set(e, EINVAL, "[service %s] needs a command: write command = PROGRAM ARGUMENTS",
                      svc->name);
        return err_at(e, svc_conf_place(svc, "command"));
    }
    if (svc->oneshot && svc->ready) {
        (void)err_set(e, EINVAL,
                      "%s.ready: a oneshot is ready when it has exited 0; drop one of them",
                      svc->name);
        return err_at(e, svc_conf_place(svc, "ready"));
    }
    return 0;
}

int conf_finish(struct conf *c, struct err *e) {
    int rc = 0;
    for (size_t i = 0; i < c->nservices && rc == 0; i++)
        rc = finish_service(c->services[i], e);
    for (size_t i = 0; i < c->nchannels && rc == 0; i++) {
        rc = channel_finish(c, i, e);
        if (rc < 0) {
            (void)err_wrap(e, "[channel %s]", c->channels[i]->name);
            return err_at(e, channel_place(c->channels[i]));
        }
    }
    return rc;
}

void conf_free(struct conf *c) {
    for (int i = 0; i < SECTION_FIRST_NAMED; i++)
        section_release(&sections[i], fixed_base(c, (enum section_id)i));
    for (size_t i = 0; i < c->nservices; i++)
        svc_conf_free(c->services[i]);
    for (size_t i = 0; i < c->nchannels; i++)
        section_free(&sections[SECTION_CHANNEL], c->channels[i]);
    for (size_t i = 0; i < c->nsources; i++)
        mem_release(&c->sources[i]);
    c->nservices = c->nchannels = c->nsources = 0;
}

/* --- printing ---------------------------------------------------------------------------- */

static void dump_section(const struct section *s, const void *base, const char *name,
                         void (*emit)(void *arg, const char *line), void *arg) {
    char line[MAX_INI_LINE + 128];
    const struct conf_given *given = base;
    (void)snprintf(line, sizeof line, "[%s%s%s]", s->name, name ? " " : "", name ? name : "");
    emit(arg, line);
    for (size_t i = 0; i < s->n; i++) {
        const char *value = given[i].text ? given[i].text : s->options[i].preset;
        if (option_is_secret(&s->options[i]) && given[i].text && given[i].text[0])
            (void)snprintf(line, sizeof line, "; %s is set, and a secret: it is not shown",
                           s->options[i].key);
        else if (value && strchr(value, '\n')) /* as the environment may have it, but no file */
            (void)snprintf(line, sizeof line, "; %s: a text of several lines", s->options[i].key);
        else
            (void)snprintf(line, sizeof line, "%s = %s", s->options[i].key, value ? value : "");
        emit(arg, line);
    }
    emit(arg, "");
}

void conf_dump(const struct conf *c, void (*emit)(void *arg, const char *line), void *arg) {
    for (int i = 0; i < SECTION_FIRST_NAMED; i++)
        dump_section(&sections[i], fixed_base((struct conf *)c, (enum section_id)i), NULL, emit,
                     arg);
    for (size_t i = 0; i < c->nchannels; i++)
        dump_section(&sections[SECTION_CHANNEL], c->channels[i], c->channels[i]->name, emit, arg);
    for (size_t i = 0; i < c->nservices; i++)
        dump_section(&sections[SECTION_SERVICE], c->services[i], c->services[i]->name, emit, arg);
}

void conf_help(void (*emit)(void *arg, const char *line), void *arg) {
    char line[1024];
    for (size_t i = 0; i < NSECTIONS; i++) {
        (void)snprintf(line, sizeof line, "[%s%s]  %s", sections[i].name,
                       i >= SECTION_FIRST_NAMED ? " NAME" : "", sections[i].help);
        emit(arg, line);
        for (size_t k = 0; k < sections[i].n; k++) {
            const struct option *o = &sections[i].options[k];
            const char *preset = !o->preset ? "required" : o->preset[0] ? o->preset : "unset";
            (void)snprintf(line, sizeof line, "  %s = %s (%s)\n      %s", o->key, o->allowed,
                           preset, o->help);
            emit(arg, line);
        }
        emit(arg, "");
    }
}

/* mdoc(7) wants every sentence on a line of its own. */
static void emit_sentences(const char *text, void (*emit)(void *arg, const char *line), void *arg) {
    char line[512];
    for (const char *dot; (dot = strstr(text, ". ")); text = dot + 2) {
        (void)snprintf(line, sizeof line, "%.*s", (int)(dot + 1 - text), text);
        emit(arg, line);
    }
    emit(arg, text);
}

static void mdoc_option(const struct option *o, void (*emit)(void *arg, const char *line),
                        void *arg) {
    char line[1024];
    (void)snprintf(line, sizeof line, ".It Cm %s Li = Ar %s", o->key, o->allowed);
    emit(arg, line);
    emit_sentences(o->help, emit, arg);
    if (!o->preset)
        emit(arg, "Required.");
    else if (o->preset[0]) {
        (void)snprintf(line, sizeof line, "Default:\n.Li %s .", o->preset);
        emit(arg, line);
    }
}

void conf_mdoc(void (*emit)(void *arg, const char *line), void *arg) {
    char line[256];
    for (size_t i = 0; i < NSECTIONS; i++) {
        (void)snprintf(line, sizeof line, ".Ss [%s%s]", sections[i].name,
                       i >= SECTION_FIRST_NAMED ? " NAME" : "");
        emit(arg, line);
        emit_sentences(sections[i].help, emit, arg);
        emit(arg, ".Bl -tag -width Ds");
        for (size_t k = 0; k < sections[i].n; k++)
            mdoc_option(&sections[i].options[k], emit, arg);
        emit(arg, ".El");
    }
}
