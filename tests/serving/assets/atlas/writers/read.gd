extends SceneTree
# Prints every AtlasTexture beside the project as Godot draws it, and every animation.

func _init():
    var sprites = {}
    var folder = Directory.new()
    folder.open("res://")
    folder.list_dir_begin(true, true)
    var file = folder.get_next()
    while file != "":
        if file.ends_with(".tres") and not file.ends_with(".frames.tres"):
            sprites[file] = drawn(load("res://" + file))
        file = folder.get_next()

    var frames = load("res://hero.frames.tres")
    var animations = {}
    for name in frames.get_animation_names():
        animations[name] = [frames.get_frame_count(name), frames.get_animation_speed(name)]
    print("READ", JSON.print({"sprites": sprites, "animations": animations}))
    quit()

func drawn(texture):
    var page = texture.atlas.get_data()
    page.convert(Image.FORMAT_RGBA8)
    var whole = Image.new()
    whole.create(int(texture.get_width()), int(texture.get_height()), false, Image.FORMAT_RGBA8)
    whole.blit_rect(page, texture.region, texture.margin.position)
    return [whole.get_height(), whole.get_width(), Marshalls.raw_to_base64(whole.get_data())]
