/* environment.h — what a service finds in its environment. Pure but for malloc. */
#ifndef SVC_ENVIRONMENT_H
#define SVC_ENVIRONMENT_H

#include "base/err.h"
#include "svc/supervisor.h"

struct env_request {
    const char *const *base; /* pinnace's own environment */
    const char *const *add;  /* NAME=value, over those of base; NAME removes it; may be NULL */
    const char *notify_path; /* becomes NOTIFY_SOCKET; may be NULL */
    enum svc_kind kind;
    bool listen_taken; /* CMD inherits none of sd_listen_fds(3): pinnace listens on one itself */
};

/* *out becomes a NULL-terminated array in one block for free(3); the strings stay borrowed,
 * NOTIFY_SOCKET's is in the block. Left out: PINNACE_TOKEN and
 * PINNACE_CHANNEL_*_TOKEN, which are secrets; NOTIFY_SOCKET and WATCHDOG_* (pinnace's own);
 * sd_listen_fds(3)'s but for CMD, who inherits those descriptors; DOCKER_HOST for the engine, whose
 * entry script would take it as an address to listen on. */
int environment_make(const struct env_request *r, const char ***out, struct err *e);

/* Take PINNACE_TOKEN and PINNACE_CHANNEL_*_TOKEN out of environ(7), in place: what our own forks
 * execute, for probes and for prepare, has no business with them either. */
void environment_drop_secrets(char **env);

#endif
