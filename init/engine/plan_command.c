/* PURE: the words that start the engine, and the flags the user put among them. */
#include "engine/planner.h"

#include <errno.h>
#include <string.h>

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_called(const char *word, const char *name) {
    return strcmp(base_name(word), name) == 0;
}

static size_t count(char *const *words) {
    size_t n = 0;
    while (words && words[n])
        n++;
    return n;
}

bool engine_is_command(const char *const *argv) {
    if (!argv || !argv[0])
        return false;
    if (is_called(argv[0], "dockerd") || is_called(argv[0], "dockerd-rootless.sh"))
        return true;
    /* The entry script runs dockerd unless it is told another program. */
    return is_called(argv[0], "dockerd-entrypoint.sh") &&
           (!argv[1] || argv[1][0] == '-' || is_called(argv[1], "dockerd"));
}

static bool is_auto(const struct engine_conf *conf) {
    return count(conf->command) == 1 && strcmp(conf->command[0], "auto") == 0;
}

/* The word where the engine itself begins, behind wrappers such as nice; n if none. */
static size_t engine_word(char *const *words) {
    size_t i = 0;
    while (words && words[i] && !engine_is_command((const char *const *)words + i))
        i++;
    return i;
}

void command_flags(struct flag_list *out, const struct engine_conf *conf) {
    out->n = 0;
    if (!is_auto(conf)) {
        size_t at = engine_word(conf->command), n = count(conf->command);
        flags_parse(out, (const char *const *)conf->command + at, n - at);
    }
    flags_parse(out, (const char *const *)conf->flags, count(conf->flags));
}

const char *engine_program(const struct engine_conf *conf) {
    char **word = conf->command + engine_word(conf->command);
    return *word && is_called(*word, "dockerd") ? *word : "dockerd";
}

bool command_is_rootless(const struct engine_conf *conf, const struct engine_facts *facts,
                         const struct flag_list *given) {
    if (facts->uid != 0 || flags_find(given, "rootless"))
        return true;
    for (size_t i = 0; i < count(conf->command); i++)
        if (is_called(conf->command[i], "dockerd-rootless.sh"))
            return true;
    return false;
}

bool engine_is_rootless(const struct engine_conf *conf, const struct engine_facts *facts) {
    struct flag_list given;
    command_flags(&given, conf);
    return command_is_rootless(conf, facts, &given);
}

static int auto_command(struct planner *p, struct err *e) {
    const struct engine_facts *f = p->facts;
    p->takes_flags = true;
    if (f->uid == 0 && !f->script && !f->dockerd)
        return err_set(e, ENOENT, "no dockerd-entrypoint.sh and no dockerd on the PATH");
    if (f->uid != 0 && !f->script && !f->rootless_script)
        return err_set(e, ENOENT,
                       "user %u needs dockerd-entrypoint.sh or dockerd-rootless.sh on the PATH",
                       f->uid);
    if (f->uid != 0 && !(f->rootlesskit && f->newuidmap))
        return err_set(e, EPERM, "user %u can run an engine with rootlesskit only; missing: %s%s%s",
                       f->uid, f->rootlesskit ? "" : "rootlesskit",
                       f->rootlesskit || f->newuidmap ? "" : ", ", f->newuidmap ? "" : "newuidmap");
    if (f->uid != 0 && !f->rootless_net)
        planner_note(p, LOG_WARN,
                     "rootless: none of slirp4netns, pasta and vpnkit is on the PATH, so "
                     "containers will have no network");
    if (f->script)
        planner_add_word(p, "dockerd-entrypoint.sh");
    if (f->script || f->uid == 0)
        planner_add_word(p, "dockerd");
    else
        planner_add_word(p, "dockerd-rootless.sh");
    return 0;
}

static void explicit_command(struct planner *p) {
    char **words = p->conf->command;
    size_t at = engine_word(words);
    p->takes_flags = words[at];
    p->script_builds = words[at] && is_called(words[at], "dockerd-entrypoint.sh") &&
                       (!words[at + 1] || words[at + 1][0] == '-');
    for (size_t i = 0; words[i]; i++)
        planner_add_word(p, words[i]);
}

int plan_command(struct planner *p, struct err *e) {
    int rc = 0;
    if (count(p->conf->command) == 0)
        return err_set(e, ENOENT, "the engine's command is empty");
    if (is_auto(p->conf))
        rc = auto_command(p, e);
    else
        explicit_command(p);
    for (size_t i = 0; p->conf->flags && p->conf->flags[i]; i++)
        planner_add_word(p, p->conf->flags[i]);
    return rc;
}
