# In place of docker:dind-rootless: its account, its directories.
ARG DIND
FROM ${DIND}
RUN mkdir /run/user && chmod 1777 /run/user \
 && useradd --create-home --home-dir /home/rootless --uid 1000 rootless \
 && echo rootless:100000:65536 | tee /etc/subuid >/etc/subgid \
 && mkdir -p /home/rootless/.local/share/docker \
 && chown -R rootless:rootless /home/rootless
VOLUME /home/rootless/.local/share/docker
USER rootless
