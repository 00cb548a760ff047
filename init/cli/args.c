#include "cli/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "cli/cli.h"

enum { MAX_OPTIONS = 24, HELP_COLUMN = 28 };

const struct option option_host = {
    "host", 'H', "HOST", "which pinnace: unix:///PATH, tcp://HOST:PORT, vsock://CID:PORT"
};
const struct option option_help = { "help", 'h', NULL, "print this" };

/* --- tables ----------------------------------------------------------------------------------- */

/* The options of a verb, its own first; how many. */
static size_t options_of(const struct verb *v, const struct option *out[MAX_OPTIONS]) {
    size_t n = 0;
    for (const struct option *o = v->options; o && o->name && n < MAX_OPTIONS - 2; o++)
        out[n++] = o;
    if (v->flags & VERB_REMOTE)
        out[n++] = &option_host;
    if (!(v->flags & VERB_RAW))
        out[n++] = &option_help;
    return n;
}

static const struct option *find_brief(const struct verb *v, char brief) {
    const struct option *all[MAX_OPTIONS];
    size_t n = options_of(v, all);
    for (size_t i = 0; i < n; i++)
        if (all[i]->brief == brief)
            return all[i];
    return NULL;
}

static const struct option *find_long(const struct verb *v, const char *name, size_t len) {
    const struct option *all[MAX_OPTIONS];
    size_t n = options_of(v, all);
    for (size_t i = 0; i < n; i++)
        if (strncmp(all[i]->name, name, len) == 0 && all[i]->name[len] == '\0')
            return all[i];
    return NULL;
}

static int unknown(const struct verb *v, const char *word, struct err *e) {
    const struct option *all[MAX_OPTIONS];
    const char *names[MAX_OPTIONS];
    size_t n = options_of(v, all);
    for (size_t i = 0; i < n; i++)
        names[i] = all[i]->name;
    const char *near = has_prefix(word, "--") ? nearest(word + 2, names, n) : NULL;
    return err_set(e, EINVAL, "unknown option %.80s%s%s%s", word, near ? " (did you mean --" : "",
                   near ? near : "", near ? "?)" : "");
}

/* --- parsing ---------------------------------------------------------------------------------- */

struct walk {
    struct args *a;
    int argc, at;
    char **argv;
    struct err *e;
};

static void give(struct walk *w, const struct option *o, const char *value) {
    struct args *a = w->a;
    if (o == &option_host)
        a->host = value;
    else if (o == &option_help)
        a->help = true;
    else
        a->given[a->ngiven++] = (struct given){ o, value };
}

/* The value that follows in a word of its own. */
static int give_next(struct walk *w, const struct option *o) {
    if (w->at + 1 >= w->argc)
        return err_set(w->e, EINVAL, "--%s wants a value: %s", o->name, o->arg);
    give(w, o, w->argv[++w->at]);
    return 0;
}

static int take_long(struct walk *w) {
    const char *name = w->argv[w->at] + 2;
    size_t len = strcspn(name, "=");
    const char *value = name[len] ? name + len + 1 : NULL;
    const struct option *o = find_long(w->a->verb, name, len);
    if (!o)
        return unknown(w->a->verb, w->argv[w->at], w->e);
    if (value && !o->arg)
        return err_set(w->e, EINVAL, "--%s takes no value", o->name);
    if (o->arg && !value && o->arg[0] != '[')
        return give_next(w, o);
    give(w, o, value);
    return 0;
}

static int take_brief(struct walk *w) {
    for (const char *s = w->argv[w->at] + 1; *s; s++) {
        const struct option *o = find_brief(w->a->verb, *s);
        if (!o)
            return unknown(w->a->verb, w->argv[w->at], w->e);
        if (!o->arg || o->arg[0] == '[') {
            give(w, o, NULL);
            continue;
        }
        if (s[1] == '\0')
            return give_next(w, o);
        give(w, o, s[1] == '=' ? s + 2 : s + 1);
        return 0;
    }
    return 0;
}

/* Room for as many options as argv could hold, and words. */
static int make_room(struct args *a, int argc, char **argv) {
    size_t most = 0;
    for (int i = 0; i < argc; i++)
        most += argv[i][0] == '-' ? strlen(argv[i]) : 0;
    a->words = calloc((size_t)argc + 1, sizeof *a->words);
    a->given = calloc(most + 1, sizeof *a->given);
    return a->words && a->given ? 0 : -ENOMEM;
}

static int check_words(const struct args *a, struct err *e) {
    const struct verb *v = a->verb;
    if (a->help)
        return 0;
    const char *next = v->words; /* the name of the first word that is not there */
    for (int i = 0; i < a->nwords && strchr(next, ' '); i++)
        next = strchr(next, ' ') + 1;
    if (a->nwords < v->min)
        return err_set(e, EINVAL, "%.*s is missing", (int)strcspn(next, " ."), next);
    if (v->max != ANY_NUMBER && a->nwords > v->max)
        return err_set(e, EINVAL, "'%.80s' is one word too many", a->words[v->max]);
    return 0;
}

int args_parse(struct args *a, int argc, char **argv, struct err *e) {
    struct walk w = { .a = a, .argc = argc, .argv = argv, .e = e };
    bool options = !(a->verb->flags & VERB_RAW);
    if (make_room(a, argc, argv) < 0)
        return err_set(e, ENOMEM, "out of memory");
    for (; w.at < argc; w.at++) {
        const char *word = argv[w.at];
        int rc = 0;
        if (!options || word[0] != '-' || word[1] == '\0') {
            options = options && !(a->verb->flags & VERB_REST);
            a->words[a->nwords++] = argv[w.at];
        } else if (strcmp(word, "--") == 0)
            options = false;
        else
            rc = word[1] == '-' ? take_long(&w) : take_brief(&w);
        if (rc < 0)
            return rc;
    }
    return check_words(a, e);
}

void args_free(struct args *a) {
    free(a->words);
    free(a->given);
    a->words = NULL;
    a->given = NULL;
}

int args_before_verb(struct args *a, int argc, char **argv, const char **verb, struct err *e) {
    static const struct option version[] = { { "version", 'V', NULL, "" },
                                             { NULL, 0, NULL, NULL } };
    static const struct verb none = { .name = "", .flags = VERB_REMOTE, .options = version };
    struct given given;
    struct args mine = { .verb = &none, .given = &given };
    struct walk w = { .a = &mine, .argc = argc, .at = 1, .argv = argv, .e = e };
    for (; w.at < argc && argv[w.at][0] == '-' && argv[w.at][1] && !*verb; w.at++) {
        const char *word = argv[w.at];
        bool cluster = word[1] != '-' && word[1] != 'H' && word[2];
        int rc = cluster          ? unknown(&none, word, e)
                 : word[1] == '-' ? take_long(&w)
                                  : take_brief(&w);
        if (rc < 0)
            return rc;
        if (mine.help || mine.ngiven)
            *verb = mine.help ? "help" : given.option->name;
    }
    a->host = mine.host;
    return w.at;
}

/* --- what was given --------------------------------------------------------------------------- */

const char *args_next(const struct args *a, const char *name, size_t *at) {
    while (*at < a->ngiven) {
        const struct given *g = &a->given[(*at)++];
        if (strcmp(g->option->name, name) == 0)
            return g->value ? g->value : "";
    }
    return NULL;
}

const char *args_value(const struct args *a, const char *name) {
    const char *last = NULL, *v;
    size_t at = 0;
    (void)BUG_ON(!find_long(a->verb, name, strlen(name)));
    while ((v = args_next(a, name, &at)) != NULL)
        last = v;
    return last;
}

bool args_has(const struct args *a, const char *name) { return args_value(a, name) != NULL; }

int args_span(const struct args *a, const char *name, span *out, struct err *e) {
    const char *v = args_value(a, name);
    return v && parse_span(v, true, out, e) < 0 ? err_wrap(e, "--%s", name) : 0;
}

int args_uint(const struct args *a, const char *name, unsigned max, unsigned *out, struct err *e) {
    const char *v = args_value(a, name);
    return v && parse_uint(v, 0, max, out, e) < 0 ? err_wrap(e, "--%s", name) : 0;
}

/* --- help ------------------------------------------------------------------------------------- */

static void add_option(struct text *t, const struct option *o) {
    size_t begin = t->len;
    if (o->brief)
        text_add(t, "  -%c, --%s", o->brief, o->name);
    else
        text_add(t, "      --%s", o->name);
    if (o->arg && o->arg[0] == '[')
        text_add(t, "[=%s", o->arg + 1);
    else if (o->arg)
        text_add(t, " %s", o->arg);
    size_t len = t->len - begin;
    text_add(t, "%*s%s\n", len + 2 > HELP_COLUMN ? 2 : (int)(HELP_COLUMN - len), "", o->help);
}

void args_usage(const struct verb *v, bool full, struct text *t) {
    const struct option *all[MAX_OPTIONS];
    size_t n = options_of(v, all);
    text_add(t, "usage: pinnace %s%s%s%s\n", v->name,
             v->options || (v->flags & VERB_REMOTE) ? " [OPTION...]" : "", v->words[0] ? " " : "",
             v->words);
    if (!full)
        return;
    text_add(t, "\n%s.\n%s", v->help, n ? "\n" : "");
    for (size_t i = 0; i < n; i++)
        add_option(t, all[i]);
}
