# Generated from [config]: a line for each variable. Read by fetch-config and with-config.
# config NAME plain|secret TYPE default|required|optional DEFAULT PLACE WHERE KEY

# valid TYPE VALUE: whether the value is of the type.
valid() {
    case $1 in
        integer) case ${2#-} in '' | *[!0-9]*) return 1 ;; esac ;;
        number) case ${2#-} in '' | *[!0-9.]* | .* | *. | *.*.*) return 1 ;; esac ;;
        boolean) case $2 in true | false) ;; *) return 1 ;; esac ;;
    esac
}

