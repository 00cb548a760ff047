/* PURE: the order of a plan's steps, and where its settings go. */
#include "engine/plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/planner.h"

#define RUN_JSON "/run/pinnace/daemon.json"

static void as_flags(struct planner *p) {
    for (size_t i = 0; i < p->out->nsettings; i++)
        for (size_t k = 0; k < p->out->settings[i].nflags; k++)
            planner_add_word(p, p->out->settings[i].flags[k]);
    p->out->nsettings = 0;
}

static void settings_lost(struct planner *p) {
    for (size_t i = 0; i < p->out->nsettings; i++)
        planner_note(p, LOG_WARN, "%s=%.160s cannot be set: %s", p->out->settings[i].key,
                     p->out->settings[i].json,
                     p->takes_flags
                         ? "daemon.json is not understood"
                         : "the command is not dockerd, and daemon.json cannot be written");
    p->out->nsettings = 0;
}

/* Can daemon.json be written beside the original, and dockerd be told so? */
static bool may_move_json(const struct planner *p) {
    return p->takes_flags && p->facts->run_writable && !p->out->rootless &&
           !flags_find(&p->given, "config-file");
}

static void plan_place(struct planner *p) {
    struct engine_plan *o = p->out;
    bool own = p->conf->daemon_json == ENGINE_JSON_OWN;
    bool file = p->conf->daemon_json != ENGINE_JSON_OFF && (own || o->nsettings > 0);
    o->json_from_scratch = own;
    if (p->json_bad)
        settings_lost(p);
    else if (file && p->facts->json_writable)
        (void)snprintf(o->json_write, sizeof o->json_write, "%s", p->facts->json_path);
    else if (file && may_move_json(p)) {
        (void)snprintf(o->json_write, sizeof o->json_write, "%s", RUN_JSON);
        planner_add_word(p, "--config-file=" RUN_JSON);
        planner_note(p, LOG_INFO, "%.120s cannot be written: using " RUN_JSON, p->facts->json_path);
    } else if (p->takes_flags)
        as_flags(p);
    else
        settings_lost(p);
}

/* Each key that is in both places: dockerd names it too, but dies of it. */
static void find_clashes(struct planner *p) {
    for (size_t i = 0; i < p->given.n; i++) {
        const char *key = p->given.v[i].key;
        bool told = strcmp(key, "hosts") == 0; /* by plan_hosts */
        for (size_t k = 0; k < i; k++)
            told |= strcmp(p->given.v[k].key, key) == 0;
        /* runtimes is the one that dockerd allows in both. */
        if (!told && strcmp(key, "runtimes") != 0 && daemon_json_has(&p->json, key))
            planner_note(p, LOG_ERROR,
                         "%s is both in %.120s and a flag: dockerd will refuse to start", key,
                         p->facts->json_path);
    }
}

static void read_json(struct planner *p, struct json_text text) {
    const struct engine_facts *f = p->facts;
    struct err why = { 0 };
    if (p->conf->daemon_json == ENGINE_JSON_OWN)
        return;
    if (f->json_error)
        (void)err_sys(&why, f->json_error, "%s cannot be read", f->json_path);
    else if (daemon_json_parse(&p->json, f->json_path, text, &why) == 0)
        return;
    p->json_bad = true;
    planner_note(p, LOG_ERROR, "%.280s (left alone)", why.text);
}

int engine_plan(struct engine_plan *out, const struct engine_conf *conf,
                const struct engine_facts *facts, const struct engine_network *net,
                struct json_text json, struct err *e) {
    struct planner p = { .conf = conf, .facts = facts, .net = net, .out = out };
    memset(out, 0, sizeof *out);
    command_flags(&p.given, conf);
    out->rootless = command_is_rootless(conf, facts, &p.given);
    int rc = plan_command(&p, e);
    if (rc < 0)
        return rc;
    read_json(&p, json);
    plan_surroundings(&p);
    find_clashes(&p);
    plan_hosts(&p);
    plan_iptables(&p);
    plan_forwarding(&p);
    plan_bridge(&p);
    plan_storage(&p);
    rc = plan_addresses(&p, e);
    plan_place(&p);
    plan_cgroup(&p);
    plan_mounts(&p);
    daemon_json_free(&p.json);
    if (rc < 0)
        return rc;
    if (p.too_long)
        return err_set(e, E2BIG, "the engine's command is longer than %d words or %d bytes",
                       MAX_ENGINE_WORDS, MAX_ENGINE_TEXT);
    return 0;
}
