/* PURE: where the engine's files are. */
#include "engine/planner.h"

#include <stdio.h>

const char *locate_runtime_dir(char *buf, size_t cap, const struct engine_facts *f) {
    if (f->runtime_dir[0])
        (void)snprintf(buf, cap, "%s", f->runtime_dir);
    else
        (void)snprintf(buf, cap, "/run/user/%u", f->uid);
    return buf;
}

void engine_locate_json(const struct engine_conf *conf, struct engine_facts *f) {
    struct flag_list given;
    command_flags(&given, conf);
    const struct flag *file = flags_find(&given, "config-file");
    size_t cap = sizeof f->json_path;
    if (file && file->value)
        (void)snprintf(f->json_path, cap, "%s", file->value);
    else if (!command_is_rootless(conf, f, &given))
        (void)snprintf(f->json_path, cap, "/etc/docker/daemon.json");
    else if (f->config_home[0])
        (void)snprintf(f->json_path, cap, "%.220s/docker/daemon.json", f->config_home);
    else
        (void)snprintf(f->json_path, cap, "%.220s/.config/docker/daemon.json", f->home);
}

/* The user's value for a path: flag, then daemon.json, else `fallback`. */
static void locate(char *out, const struct flag_list *given, const struct daemon_json *json,
                   const char *key, const char *fallback) {
    const struct flag *flag = flags_find(given, key);
    const char *value = flag ? flag->value : daemon_json_string(json, key);
    (void)snprintf(out, MAX_ENGINE_PATH, "%s", value && *value ? value : fallback);
}

void engine_locate_state(const struct engine_conf *conf, struct engine_facts *f,
                         struct json_text text) {
    struct flag_list given;
    struct daemon_json json;
    char run[MAX_ENGINE_PATH], data[MAX_ENGINE_PATH + 32] = "/var/lib/docker";
    char exec[MAX_ENGINE_PATH + 32] = "/var/run/docker";
    char pid[MAX_ENGINE_PATH + 32] = "/var/run/docker.pid";
    command_flags(&given, conf);
    if (conf->daemon_json == ENGINE_JSON_OWN)
        text.len = 0;
    (void)daemon_json_parse(&json, "", text, NULL);
    if (command_is_rootless(conf, f, &given)) {
        (void)locate_runtime_dir(run, sizeof run, f);
        (void)snprintf(data, sizeof data, "%s/.local/share/docker", f->home);
        (void)snprintf(exec, sizeof exec, "%s/docker", run);
        (void)snprintf(pid, sizeof pid, "%s/docker.pid", run);
    }
    locate(f->data_root, &given, &json, "data-root", data);
    locate(f->exec_root, &given, &json, "exec-root", exec);
    locate(f->pidfile, &given, &json, "pidfile", pid);
    daemon_json_free(&json);
}
