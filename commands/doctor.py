"""``doctor``: what works on this machine."""

from commands.console import say


def doctor() -> None:
    """Say what this machine has and what is missing. It prints the commands that install what is missing."""
    import export.doctor
    import serving.doctor
    import trainer.doctor

    rooms = {"training": trainer.doctor, "exporting": export.doctor, "serving": serving.doctor}
    for name, room in rooms.items():
        say(f"\n{name}")
        for check in room.checks():
            say(f"  {'✓' if check.fine else '✗'} {check.name}: {check.found}")
            if check.mend and not check.fine:
                say(f"      to mend it: {check.mend}")
