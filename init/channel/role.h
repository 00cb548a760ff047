/* role.h — role channel: answers those who ask how the box is, over HTTP/1.1 on a unix
 * socket that PID 1 opened and holds.
 *
 *     GET /readyz            200 "ready", or 503 and one line a unit that is not
 *     GET /livez             200
 *     GET /v1/status         JSON; with ?after=SEQ the answer waits for a change
 *     GET /v1/timeline       JSON
 *
 * One request a connection. Requests with an Origin (browsers) are refused.
 */
#ifndef CHANNEL_ROLE_H
#define CHANNEL_ROLE_H

struct channel_role {
    int sock;   /* to PID 1 */
    int listen; /* the listening socket */
};

/* Runs until PID 1 says quit. The exit status. */
int channel_role_run(void *role);

#endif
