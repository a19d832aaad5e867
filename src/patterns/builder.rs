//! A builder is made of the setters that its type has.

/// A builder with the setters that every type has, and those of the given groups.
macro_rules! builder {
    ($(#[$doc:meta])* $builder:ident => $socket:ident, [$($group:ident),*]) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        #[must_use = "a builder does nothing until `build`"]
        pub struct $builder {
            context: crate::Context,
            options: crate::Options,
            overrides: crate::options::Overrides,
            specific: crate::options::TypeOptions,
        }

        impl $builder {
            /// Makes the socket.
            ///
            /// # Errors
            ///
            /// If an option has a value that it cannot have.
            pub fn build(self) -> Result<$socket, crate::OptionError> {
                let options = self.overrides.over(self.options);
                options.check()?;
                self.specific.check()?;
                Ok($socket::from_options(self.context, options, self.specific))
            }

            /// The name space for `inproc://`, and the runtime that carries the connections. Default: one for the whole
            /// process, and the runtime that `bind` or `connect` is called on.
            pub fn context(mut self, context: &crate::Context) -> Self {
                self.context = context.clone();
                self
            }

            /// Takes all that sockets of any type can be told from one value. What is set on this builder itself, before or
            /// after, goes over it.
            pub fn options(mut self, options: &crate::Options) -> Self {
                self.options = options.clone();
                self
            }

            crate::options::connection_setters!();
            crate::options::shared_setters!();
            $($group!();)*

            fn set_connection(&mut self, set: impl Fn(&mut crate::ConnectionOptions) + Send + Sync + 'static) {
                self.overrides.push(move |options| options.set_connection(&set));
            }

            fn set_shared(&mut self, set: impl Fn(&mut crate::Options) + Send + Sync + 'static) {
                self.overrides.push(set);
            }

            #[allow(dead_code, reason = "not every type has options of its own")]
            fn set_specific(&mut self, set: impl Fn(&mut crate::options::TypeOptions)) {
                set(&mut self.specific);
            }
        }
    };
}

macro_rules! conflating {
    () => {
        crate::options::setter! {
            /// Whether only the newest message of each peer is kept, whole, and the high-water
            /// marks do not apply. Default: no.
            ///
            /// libzmq: `ZMQ_CONFLATE`
            conflate(on: bool) => set_specific, conflate = on
        }
    };
}

macro_rules! identified {
    () => {
        crate::options::setter! {
            /// The name by which a ROUTER knows this socket: 1 to 255 bytes, the first not zero.
            /// Default: none, and the ROUTER makes one up.
            ///
            /// libzmq: `ZMQ_ROUTING_ID`
            routing_id(id: impl Into<bytes::Bytes>) => set_specific, routing_id = id.into()
        }
    };
}

macro_rules! probing {
    () => {
        crate::options::setter! {
            /// Whether every connection opens with an empty message, so that a ROUTER learns of
            /// this socket before it has something to say. Default: no.
            ///
            /// libzmq: `ZMQ_PROBE_ROUTER`
            probe_router(on: bool) => set_specific, probe_router = on
        }
    };
}

macro_rules! greeting {
    () => {
        crate::options::setter! {
            /// A message that opens every connection, sent before any other; an empty one is none. Default: none.
            ///
            /// libzmq: `ZMQ_HELLO_MSG`
            hello(message: impl Into<bytes::Bytes>) => set_specific, hello =
                Some(message.into()).filter(|message| !message.is_empty())
        }
    };
}

pub(crate) use crate::options::receiving_setters as receiving;
pub(crate) use crate::options::sending_setters as sending;
pub(crate) use crate::options::setter as set;
pub(crate) use {builder, conflating, greeting, identified, probing};
