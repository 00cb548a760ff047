/* wishes.h — among the files of the supervisor: who is wanted, and who may start and stop. */
#ifndef SVC_WISHES_H
#define SVC_WISHES_H

#include "svc/supervisor.h"

/* supervisor.c: let this happen to it, and carry out what follows. */
void svc_event(struct svc *s, enum svc_event event);

/* Is all there that it waits for? */
bool wishes_may_start(const struct supervisor *sup, size_t i);

/* Its state has changed: if it is down because it is not wanted, its reason says so. */
void wishes_note(struct svc *s);

#endif
