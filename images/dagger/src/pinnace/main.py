from typing import Annotated

import dagger
from dagger import Doc, dag, function, object_type

API_PORT = 2375


@object_type
class Pinnace:
    """A Docker engine in a box, whose PID 1 is pinnace."""

    @function
    def dind_service(
        self,
        image: Annotated[str, Doc("Made from images/dind")] = "pinnace-dind:1",
        flags: Annotated[str, Doc("For dockerd, as in a shell")] = "--log-level=warn",
        cache: Annotated[dagger.CacheVolume | None, Doc("For images and layers")] = None,
        settings: Annotated[list[str] | None, Doc("PINNACE_SECTION_KEY=value")] = None,
    ) -> dagger.Service:
        """The engine's API on tcp://NAME:2375, without TLS: services are bound by name, and seen by
        nobody else."""
        box = (
            dag.container()
            .from_(image)
            # The image's script makes no certificates then, and listens on 2375; pinnace adds
            # --tls=false, or dockerd would wait for 16 s first.
            .with_env_variable("DOCKER_TLS_CERTDIR", "")
            .with_env_variable("PINNACE_ENGINE_FLAGS", flags)
            .with_env_variable("PINNACE_LOG", "json")
            .with_exposed_port(API_PORT)
        )
        if cache is not None:
            box = box.with_mounted_cache("/var/lib/docker", cache)
        for setting in settings or []:
            name, _, value = setting.partition("=")
            box = box.with_env_variable(name, value)
        return box.as_service(
            use_entrypoint=True,
            # pinnace is the init.
            no_init=True,
            # An engine makes namespaces and mounts.
            insecure_root_capabilities=True,
        )

    @function
    def with_docker(
        self,
        container: Annotated[dagger.Container, Doc("With a docker client in it")],
        service: Annotated[dagger.Service | None, Doc("Of dind_service")] = None,
    ) -> dagger.Container:
        """The container, with an engine bound to it and DOCKER_HOST set."""
        return container.with_service_binding(
            "docker", service or self.dind_service()
        ).with_env_variable("DOCKER_HOST", f"tcp://docker:{API_PORT}")

    @function
    async def version(self, client: str = "docker:cli") -> str:
        """What the engine says of itself: a first test."""
        box = self.with_docker(dag.container().from_(client))
        return await box.with_exec(["docker", "version"]).stdout()
